"""A worker that is cut off, or comes late, steps down, and no window is answered twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import pytest

from tests.support.deployment import deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.sharing import USERS, assert_each_once, balanced, say_rounds
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually


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
