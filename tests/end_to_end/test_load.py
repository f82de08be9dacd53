"""Ingest and consumers as processes, under the loads that the main job names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from tests.support.contents import age, leftovers, nothing_unfinished_expires, replies
from tests.support.handler_server import HandlerCall, HandlerServer
from tests.support.ledger import Ledger, LedgerRules, Who
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

LIMIT_S = 40.0
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One ingest, a handler that keeps the ledger, and what starts consumers."""

    redis: Redis
    prefix: str
    ingest: ServiceProcess
    ledger: Ledger
    rules: LedgerRules
    session: aiohttp.ClientSession
    consumer: Any

    async def send(self, whom: Sequence[Who]) -> None:
        """One message of each of ``whom``, in one request."""
        await self.ledger.send(self.session, self.ingest.url, whom)

    async def all_handled(self) -> None:
        """Wait until every message was handled and Redis is empty, then compare."""
        ledger = self.ledger

        async def is_over() -> bool:
            done = ledger.handled_count == ledger.accepted_count
            return done and not await leftovers(self.redis, self.prefix)

        await eventually(is_over, f"{ledger.accepted_count} messages", LIMIT_S)
        assert ledger.problems(self.rules) == []

    async def one_reply_per_window(self) -> None:
        """The outbox, where these replies stay, has each window's once."""
        values = await replies(self.redis, self.prefix)
        assert len(values) == len(self.ledger.window_ids)
        for window_id in self.ledger.window_ids:
            assert sum(window_id.encode() in value for value in values) == 1


@asynccontextmanager
async def system(
    redis_url: str, prefix: str, folder: Path, **settings: Any
) -> AsyncIterator[System]:
    """A running ingest; consumers are started with ``consumer()``."""
    ledger = Ledger()
    async with AsyncExitStack() as stack:
        handler = await stack.enter_async_context(HandlerServer(ledger.answer))
        settings = {
            "redis_url": redis_url,
            "prefix": prefix,
            "handler": handler.url,
            "lease_ms": 2500,
            **settings,
        }
        redis = Redis.from_url(redis_url, protocol=2)
        stack.push_async_callback(redis.aclose)
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def consumer() -> ServiceProcess:
            return await stack.enter_async_context(ServiceProcess("consumer", folder, settings))

        ingest = await stack.enter_async_context(ServiceProcess("ingest", folder, settings))
        yield System(
            redis=redis,
            prefix=prefix,
            ingest=ingest,
            ledger=ledger,
            rules=LedgerRules(max_wait_ms=settings["max_wait_ms"]),
            session=session,
            consumer=consumer,
        )


async def slow_for_some(call: HandlerCall) -> None:
    """5 to 40 ms, and 300 ms for one window in sixteen: by its id, so that it is repeatable."""
    window_id = call.json["window_id"]
    await asyncio.sleep(0.3 if window_id[-2] in "ab" else 0.005 + ord(window_id[-3]) % 8 * 0.005)


async def send_rounds(made: System, users: Sequence[Who], rounds: int, pause_s: float) -> None:
    """``rounds`` messages of each user, fifty users a request, a user's one after the other."""

    async def send_all(slice_: Sequence[Who]) -> None:
        for _ in range(rounds):
            await made.send(slice_)
            await asyncio.sleep(pause_s)

    async with asyncio.TaskGroup() as group:
        for at in range(0, len(users), 50):
            group.create_task(send_all(users[at : at + 50]))


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
    async with system(redis_url, prefix, tmp_path, max_wait_ms=1500) as made:
        made.ledger.hold = slow_for_some
        async with nothing_unfinished_expires(made.redis, prefix):
            sending = asyncio.create_task(send_rounds(made, users, 5, pause_s=0.3))
            first, second = await asyncio.gather(made.consumer(), made.consumer())
            await asyncio.gather(first.owns(8), second.owns(8))
            await sending
            await made.all_handled()
            assert made.ledger.overlaps == []
            assert not made.ledger.repeated

            sending = asyncio.create_task(send_rounds(made, users, 5, pause_s=0.3))
            killed = asyncio.Event()
            made.ledger.hold = lambda _call: killed.wait()
            await eventually(lambda: len(made.ledger.in_hand) > 200, "windows in hand of both")
            first.kill()
            killed_s = time.monotonic()
            made.ledger.hold = None
            killed.set()
            await sending
            await second.owns(16)
            await made.all_handled()
        assert made.ledger.accepted_count == 5000
        # What was sent just before may arrive just after; what was answered may not be finished.
        in_flight = made.ledger.in_flight(killed_s - 0.5, killed_s + 0.5)
        assert set() < made.ledger.repeated <= in_flight
        await made.one_reply_per_window()
        assert await second.metric("fenced_total", call="finish") == 0


async def test_100_messages_in_10_s_of_one_instance(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """Ten messages a second of one instance's twelve users, each in its window, none late."""
    async with system(redis_url, prefix, tmp_path, max_wait_ms=2000) as made:
        worker = await made.consumer()
        began_s = time.monotonic()
        for number in range(100):
            await made.send([("shop", f"user-{number * 7 % 12}")])
            await asyncio.sleep(max(0.0, began_s + number / 10 - time.monotonic()))
        await made.all_handled()
        await made.one_reply_per_window()
        assert made.ledger.overlaps == []
        assert not made.ledger.repeated
        late = await worker.metric("window_lateness_seconds_count")
        in_time = await worker.metric("window_lateness_seconds_bucket", le="0.5")
        assert in_time == late > 0


async def test_50_users_at_once(redis_url: str, prefix: str, tmp_path: Path) -> None:
    """Fifty users write three messages each at the same moment: fifty windows, side by side."""
    together = asyncio.Barrier(50)

    async def write(made: System, who: Who) -> None:
        for _ in range(3):
            await made.send([who])

    async with system(redis_url, prefix, tmp_path, max_wait_ms=1500) as made:
        await made.consumer()
        made.ledger.hold = lambda _call: together.wait()
        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(write(made, ("shop", f"user-{number}")))
        await made.all_handled()
        assert len(made.ledger.calls) == 50
        assert {len(call.members) for call in made.ledger.calls} == {3}
        await made.one_reply_per_window()


async def test_consumers_stopped_for_an_hour(redis_url: str, prefix: str, tmp_path: Path) -> None:
    """What came while no consumer ran, an hour ago and just now, is cut and handled as ever."""
    users = [("shop", f"user-{number}") for number in range(40)]
    async with system(redis_url, prefix, tmp_path, max_wait_ms=300) as made:
        await send_rounds(made, users, 3, pause_s=0.0)
        await age(made.redis, prefix, HOUR_MS)
        made.ledger.shift(-HOUR_MS)
        await send_rounds(made, users, 4, pause_s=0.1)
        assert made.ledger.calls == []
        await asyncio.gather(made.consumer(), made.consumer())
        await made.all_handled()
        await made.one_reply_per_window()
