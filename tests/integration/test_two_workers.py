"""Several workers on one Redis: they share the partitions, hand over, and never answer twice."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial

import pytest

from consumer.membership import WorkerState
from shared.model import WorkerId
from tests.support.deployment import Deployment, RunningWorker, deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer, answer_after
from tests.support.machine import watched_machine
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually

USERS = 30
AT_ONCE_S = 3.0
"""Long before a lease of 30 s expires."""
HANDOVER_TURNS = 10
"""The old owner's to give back and to ring, the new one's to hear, to look and to take; Redis's."""


def owned_counts(*workers: RunningWorker) -> list[int]:
    """How many partitions each has, sorted."""
    return sorted(len(worker.owned) for worker in workers)


async def balanced(counts: Sequence[int], *workers: RunningWorker) -> None:
    """Wait until the workers own so many partitions each, and none is owned twice."""
    await eventually(lambda: owned_counts(*workers) == sorted(counts), f"{counts} partitions")
    owned = [number for worker in workers for number in worker.owned]
    assert len(owned) == len(set(owned))


async def say_rounds(shop: Deployment, rounds: range) -> None:
    """One message of each user per round."""
    for round_ in rounds:
        for number in range(USERS):
            await shop.say(f"user-{number}", f"{round_}")


def assert_each_once(server: HandlerServer, rounds: int) -> None:
    """Every message was handed over once, each user's in order, no window twice."""
    said: dict[str, list[str]] = {}
    for call in server.calls:
        said.setdefault(call.json["user"], []).extend(call.json["text"].split("\n"))
    assert said == {f"user-{n}": [str(r) for r in range(rounds)] for n in range(USERS)}
    windows = Counter(call.json["window_id"] for call in server.calls)
    assert max(windows.values()) == 1


async def test_two_workers_share_the_partitions(redis_url: str, prefix: str) -> None:
    """Of sixteen partitions two workers own eight each, and everything is handled once."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, partitions=16) as shop,
        shop.worker() as first,
        shop.worker() as second,
    ):
        await balanced([8, 8], first, second)
        await say_rounds(shop, range(3))
        await shop.finished()
        assert_each_once(server, 3)
        assert first.count("messages_finished_total", outcome="silent") > 0
        assert second.count("messages_finished_total", outcome="silent") > 0
        assert first.count("owned_partitions") == 8
        assert first.count("live_workers") == 2


async def test_a_third_worker_joins_under_load(redis_url: str, prefix: str) -> None:
    """Partitions move to a worker that joins, balanced to within one, with nothing repeated."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, partitions=16) as shop,
        shop.worker() as first,
        shop.worker() as second,
    ):
        await balanced([8, 8], first, second)
        await say_rounds(shop, range(2))
        async with shop.worker() as third:
            await say_rounds(shop, range(2, 4))
            await balanced([5, 5, 6], first, second, third)
            await say_rounds(shop, range(4, 6))
            await shop.finished()
        await balanced([8, 8], first, second)
        assert_each_once(server, 6)


async def test_a_drained_workers_partitions_move_at_once(redis_url: str, prefix: str) -> None:
    """A worker that leaves gives its leases back; the other goes on long before they expire."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, partitions=16, lease_ms=30_000) as shop,
        shop.worker() as first,
        shop.worker() as second,
    ):
        await balanced([8, 8], first, second)
        await say_rounds(shop, range(1))
        with watched_machine() as machine:
            began_s = time.monotonic()
            await second.drain()
            await first.owns(16)
            took_s = time.monotonic() - began_s
        assert took_s < machine.allows_s(AT_ONCE_S, HANDOVER_TURNS)
        await say_rounds(shop, range(1, 2))
        await shop.finished()
        assert_each_once(server, 2)


async def test_a_drain_lets_the_next_owner_go_on(redis_url: str, prefix: str) -> None:
    """While a leaving worker still runs one user's window, the next owner serves the others."""
    release = asyncio.Event()

    async def script(call: HandlerCall) -> Answer:
        if call.json["text"] == "slow":
            await release.wait()
        return Answer.reply(call.json["text"])

    async with (
        HandlerServer(script) as server,
        deployment(
            redis_url, prefix, handler=server.url, partitions=1, max_wait_ms=50, drain_ms=10_000
        ) as shop,
        shop.worker() as first,
    ):
        await shop.say("alice", "slow")
        await server.wait_for_calls(1)
        async with shop.worker() as second:
            leaving = asyncio.create_task(first.drain())
            await second.owns(1)
            await shop.say("alice", "next")
            await shop.say("bob", "hello")
            await server.wait_for_calls(2)
            assert [call.json["text"] for call in server.calls] == ["slow", "hello"]
            release.set()
            await leaving
            await shop.finished()
        assert [call.json["text"] for call in server.calls] == ["slow", "hello", "next"]
        assert sorted(reply.texts for reply in await shop.outbox()) == [
            ("hello",),
            ("next",),
            ("slow",),
        ]


async def test_a_crashed_workers_windows_run_again(redis_url: str, prefix: str) -> None:
    """After a crash the other owns all within the lease and repeats only what was in hand."""
    never = asyncio.Event()
    crashed: set[str] = set()

    async def script(call: HandlerCall) -> Answer:
        if len(crashed) < 5 and call.json["attempt"] == 1:
            crashed.add(call.json["window_id"])
            await never.wait()
        return Answer(status=204)

    async with (
        HandlerServer(script) as server,
        deployment(
            redis_url,
            prefix,
            handler=server.url,
            partitions=8,
            max_messages=2,
            max_wait_ms=60_000,
            lease_ms=800,
        ) as shop,
        shop.worker() as first,
    ):
        await first.owns(8)
        await say_rounds(shop, range(2))
        await server.wait_for_calls(USERS)
        finished = partial(first.count, "messages_finished_total", outcome="silent")
        others = 2 * (USERS - len(crashed))
        await eventually(lambda: finished() == others, "the others' windows finished")
        async with shop.worker() as second:
            await first.crash()
            await say_rounds(shop, range(2, 4))
            await second.owns(8)
            await shop.finished()
        never.set()
        calls = Counter(call.json["window_id"] for call in server.calls)
        assert {window for window, count in calls.items() if count > 1} == crashed
        assert max(calls.values()) == 2
        members = {
            (c.json["window_id"], tuple(m["entry_id"] for m in c.json["messages"]))
            for c in server.calls
        }
        assert len(members) == len(calls) == 2 * USERS
        assert {c.json["attempt"] for c in server.calls if calls[c.json["window_id"]] == 1} == {1}


@pytest.mark.one_server("a proxy before one server is no way to a cluster")
async def test_a_worker_that_is_cut_off_steps_down(redis_url: str, prefix: str) -> None:
    """A worker that Redis hears no more starts nothing, loses its partitions and comes back."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, partitions=4, lease_ms=800) as shop,
        TcpProxy(redis_url) as proxy,
        shop.worker(proxy.url) as cut,
        shop.worker() as other,
    ):
        await balanced([2, 2], cut, other)
        proxy.hold()
        await other.owns(4)
        assert not cut.owned
        await say_rounds(shop, range(2))
        await shop.finished()
        assert cut.count("messages_finished_total", outcome="silent") == 0
        proxy.release()
        await balanced([2, 2], cut, other)
        await say_rounds(shop, range(2, 4))
        await shop.finished()
        assert_each_once(server, 4)


async def answer_by_attempt(call: HandlerCall, release: dict[int, asyncio.Event]) -> Answer:
    """Each attempt waits for its own event, and says which one it was."""
    attempt = call.json["attempt"]
    await release[attempt].wait()
    return Answer.reply(f"attempt {attempt}")


@pytest.mark.one_server("a proxy before one server is no way to a cluster")
@pytest.mark.parametrize("meanwhile", ["nothing", "taken", "finished"])
async def test_a_finish_that_comes_late(redis_url: str, prefix: str, meanwhile: str) -> None:
    """
    A cut-off worker's result counts while its token stands; afterwards it changes nothing.

    Meanwhile the other worker had nothing to do, has the window in hand, or has finished it.
    """
    release = {1: asyncio.Event(), 2: asyncio.Event()}
    lease_ms = 30_000 if meanwhile == "nothing" else 1000  # only the others wait for its end

    async with (
        HandlerServer(lambda call: answer_by_attempt(call, release)) as server,
        deployment(
            redis_url, prefix, handler=server.url, partitions=1, max_wait_ms=50, lease_ms=lease_ms
        ) as shop,
        TcpProxy(redis_url) as proxy,
        shop.worker(proxy.url) as cut,
    ):
        await shop.say("alice", "hello")
        await server.wait_for_calls(1)
        async with shop.worker():
            proxy.hold()
            if meanwhile != "nothing":
                await server.wait_for_calls(2)
            if meanwhile == "finished":
                release[2].set()
                await shop.finished()
            release[1].set()
            await eventually(
                lambda: cut.count("handler_seconds_count", outcome="reply") == 1, "its result"
            )
            proxy.release()
            await eventually(lambda: not cut.count("windows_running"), "its finish")
            release[2].set()
            await shop.finished()
            counts = 1 if meanwhile == "nothing" else 2
            assert [reply.texts for reply in await shop.outbox()] == [(f"attempt {counts}",)]
            assert [call.json["attempt"] for call in server.calls] == [1, 2][:counts]
            refused = cut.count("fenced_total", call="finish")
            assert refused == (0 if meanwhile == "nothing" else 1)
            answered = cut.count("messages_finished_total", outcome="answered")
            assert answered == (1 if meanwhile == "nothing" else 0), "counted by the other"
            assert len(await shop.journal()) == 1


async def test_a_drain_in_the_middle_of_a_round(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The others take the partitions at once, though the leases were back before the key said why.

    A quarter of the lease, when they would look by themselves, is longer than this test waits.
    """
    release = asyncio.Event()

    async with (
        HandlerServer(answer_after(release, Answer.reply("yes"))) as server,
        deployment(
            redis_url, prefix, handler=server.url, lease_ms=30_000, max_messages=1, drain_ms=9000
        ) as shop,
        shop.worker() as first,
        shop.worker() as second,
    ):
        await balanced([2, 2], first, second)
        await say_rounds(shop, range(1))
        await server.wait_for_calls(USERS)
        membership = second.worker._membership
        survey, looks_of_first = membership.survey, 0
        survey_of_first = first.worker._membership.survey

        async def survey_counted() -> dict[WorkerId, WorkerState]:
            nonlocal looks_of_first
            live = await survey_of_first()
            looks_of_first += 1
            return live

        async def survey_late() -> dict[WorkerId, WorkerState]:
            monkeypatch.setattr(membership, "survey", survey)
            before = looks_of_first
            second.stopping.set()
            await eventually(lambda: not second.owned, "the leases given back")
            await eventually(lambda: looks_of_first > before, "a look before the key says why")
            return await survey()

        monkeypatch.setattr(first.worker._membership, "survey", survey_counted)
        monkeypatch.setattr(membership, "survey", survey_late)
        second.worker._keeper.nudge()
        with watched_machine() as machine:
            began_s = time.monotonic()
            await first.owns(4)
            took_s = time.monotonic() - began_s
        assert took_s < machine.allows_s(AT_ONCE_S, HANDOVER_TURNS)
        release.set()
        await shop.finished()
