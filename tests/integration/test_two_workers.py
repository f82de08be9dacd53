"""Several workers on one Redis share the partitions and hand over, and handle everything once."""

from __future__ import annotations

import asyncio
import time

import pytest

from consumer.membership import WorkerState
from shared.model import WorkerId
from tests.support.deployment import deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer, answer_after
from tests.support.machine import watched_machine
from tests.support.sharing import USERS, assert_each_once, balanced, say_rounds
from tests.support.waiting import eventually

AT_ONCE_S = 3.0
"""Long before a lease of 30 s expires."""

HANDOVER_TURNS = 10
"""The old owner's to give back and to ring, the new one's to hear, to look and to take; Redis's."""


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
