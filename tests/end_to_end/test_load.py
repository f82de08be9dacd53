"""Ingest and consumers as processes, under the loads that the main job names."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.support.contents import age, nothing_unfinished_expires, started_by
from tests.support.handler_server import HandlerCall
from tests.support.ledger import Who
from tests.support.system import System, system
from tests.support.waiting import eventually
from tests.support.witness import witness

HOUR_MS = 3_600_000
LATENESS_S = ("0.5", "1.0", "2.5", "10.0")
"""Bounds that the histogram has."""


async def slow_for_some(call: HandlerCall) -> None:
    """5 to 40 ms, and 300 ms for one window in sixteen: by its id, so that it is repeatable."""
    window_id = call.json["window_id"]
    await asyncio.sleep(0.3 if window_id[-2] in "ab" else 0.005 + ord(window_id[-3]) % 8 * 0.005)


@pytest.mark.timeout(120)
async def test_two_workers_started_while_5000_messages_of_500_users_arrive(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """
    Each is handled once and in order, and both own partitions.

    After ``kill -9`` of one worker everything is still handled: at most the windows in flight
    are repeated, with the same id and the same members. No key of theirs ever has a TTL.
    """
    users = [(f"shop-{number % 7}", f"user-{number}") for number in range(500)]
    async with system(redis_url, prefix, tmp_path, max_wait_ms=1500, lease_ms=6000) as made:
        made.ledger.hold = slow_for_some
        async with nothing_unfinished_expires(made.redis, prefix):
            sending = asyncio.create_task(made.send_rounds(users, 5, pause_s=0.3))
            first, second = await asyncio.gather(made.consumer(), made.consumer())
            await asyncio.gather(first.owns(8), second.owns(8))
            await sending
            await made.all_handled()
            assert made.ledger.overlaps == []
            assert not made.ledger.repeated

            sending = asyncio.create_task(made.send_rounds(users, 5, pause_s=0.3))
            killed = asyncio.Event()
            made.ledger.hold = lambda _call: killed.wait()
            await eventually(lambda: len(made.ledger.in_hand) > 200, "many windows in hand")

            def is_at_work() -> bool:
                started = started_by(redis_url, prefix, first.worker_id)
                return not started.isdisjoint(made.ledger.in_hand.values())

            await eventually(is_at_work, "some of them the first worker's")
            first.kill()
            in_flight = started_by(redis_url, prefix, first.worker_id)
            made.ledger.hold = None
            killed.set()
            await sending
            await second.owns(16)
            await made.all_handled()
        assert made.ledger.accepted_count == 5000
        assert set() < made.ledger.repeated <= in_flight
        await made.assert_one_reply_per_window()
        assert await second.metric("fenced_total", call="finish") == 0


async def test_100_messages_in_10_s_of_one_instance(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """Ten messages a second of one instance's twelve users, each in its window, none late."""
    async with (
        system(redis_url, prefix, tmp_path, max_wait_ms=2000) as made,
        witness(made.redis) as seen,
    ):
        worker = await made.consumer()
        began_s = time.monotonic()
        for number in range(100):
            await made.send([("shop", f"user-{number * 7 % 12}")])
            await asyncio.sleep(max(0.0, began_s + number / 10 - time.monotonic()))
        await made.all_handled()
        await made.assert_one_reply_per_window()
        assert made.ledger.overlaps == []
        assert not made.ledger.repeated
        late = await worker.metric("window_lateness_seconds_count")
        limit = next(le for le in LATENESS_S if float(le) >= seen.allows_s(0.5))
        in_time = await worker.metric("window_lateness_seconds_bucket", le=limit)
        assert in_time == late > 0


async def test_50_users_at_once(redis_url: str, prefix: str, tmp_path: Path) -> None:
    """Fifty users write three messages each at the same moment: fifty windows, side by side."""
    together = asyncio.Barrier(50)

    async def write(made: System, who: Who) -> None:
        for _ in range(3):
            await made.send([who])

    async with system(redis_url, prefix, tmp_path, max_wait_ms=4000) as made:
        await made.consumer()
        made.ledger.hold = lambda _call: together.wait()
        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(write(made, ("shop", f"user-{number}")))
        await made.all_handled()
        assert len(made.ledger.calls) == 50
        assert {len(call.members) for call in made.ledger.calls} == {3}
        await made.assert_one_reply_per_window()


async def test_consumers_stopped_for_an_hour(redis_url: str, prefix: str, tmp_path: Path) -> None:
    """What came while no consumer ran, an hour ago and just now, is cut and handled as ever."""
    users = [("shop", f"user-{number}") for number in range(40)]
    async with system(redis_url, prefix, tmp_path, max_wait_ms=300) as made:
        await made.send_rounds(users, 3, pause_s=0.0)
        await age(made.redis, prefix, HOUR_MS)
        made.ledger.shift(-HOUR_MS)
        await made.send_rounds(users, 4, pause_s=0.1)
        assert made.ledger.calls == []
        await asyncio.gather(made.consumer(), made.consumer())
        await made.all_handled()
        await made.assert_one_reply_per_window()
