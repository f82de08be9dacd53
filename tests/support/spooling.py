"""The policy ``spool`` as ingest puts it together, on a Redis that a test may end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp

from ingest.append import RedisAppender
from ingest.away import State, servers_of
from ingest.bypass import Bypass
from ingest.outage import SpoolingAppender
from ingest.pauses import Pauses
from ingest.remember import RedisMemory
from ingest.spool.payload import Spooled, decode_record
from ingest.spool.replayer import Replayer
from ingest.spool.spool import Spool, now_ms
from shared.connect import open_pipe
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import Message
from shared.settings import Settings
from shared.steering_store import SteeringStore
from shared.wire import FIELD, decode_message
from tests.support.waiting import eventually

INSTANCE = "shop"
DEDUPE_MS = 3_600_000
RETENTION_MS = 300_000


def message(number: int, user: str = "ann", text: str = "hi") -> Message:
    """The ``number``-th message of a user."""
    return Message(
        instance=INSTANCE, user=user, message_id=f"{user}-{number}", text=text, received_at=number
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooling:
    """One process's policy; ``spool`` is its disk."""

    appender: SpoolingAppender
    spool: Spool
    metrics: IngestMetrics

    async def send(self, number: int, user: str = "ann") -> bool:
        """Keep one message; whether it was spooled."""
        [accepted] = await self.appender.append([message(number, user)])
        assert (accepted.entry_id is None) == accepted.spooled
        return accepted.spooled

    async def online(self, limit_s: float = 20.0) -> None:
        """Wait until everything is replayed and messages go to Redis again."""

        def is_over() -> bool:
            return self.appender.state is State.ONLINE and self.spool.messages == 0

        await eventually(is_over, "an empty spool", limit_s)


@asynccontextmanager
async def spooling(
    url: str,
    keys: Keys,
    folder: Path,
    *,
    max_bytes: int = 1 << 30,
    direct: Settings | None = None,
) -> AsyncIterator[Spooling]:
    """
    A running policy; its spool's folder is left as a process leaves it that ends in order.

    ``direct``: the settings of a bypass.
    """
    metrics = IngestMetrics(InstanceLabels(10))
    spool = Spool(folder, keys.prefix, max_bytes, metrics, now_ms)
    try:
        async with (
            open_pipe(url, timeout_ms=500, name="append") as writes,
            open_pipe(url, timeout_ms=5000, name="replay") as replays,
        ):
            redis = RedisAppender(writes, keys, DEDUPE_MS, metrics, 0.1)
            patient = RedisAppender(replays, keys, DEDUPE_MS, metrics, 0)
            touch = partial(replays.call, "HSET", keys.meta, "checked", "1")
            memory = RedisMemory(replays, keys, DEDUPE_MS, RETENTION_MS)
            async with AsyncExitStack() as stack:
                bypass = None
                if direct is not None:
                    pauses = Pauses(SteeringStore(replays, keys), direct, folder)
                    bypass = await bypassing(stack, direct, spool, metrics, pauses)
                settle = None if bypass is None else bypass.settle
                replayer = Replayer(spool, patient, memory, metrics, settle)
                servers = servers_of(writes, keys)
                appender = SpoolingAppender(redis, spool, replayer, touch, bypass, servers)
                await appender.start()
                tasks = [
                    asyncio.create_task(appender.keep_draining()),
                    asyncio.create_task(spool.room.keep_measuring()),
                ]
                try:
                    yield Spooling(appender=appender, spool=spool, metrics=metrics)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        spool.close()


async def bypassing(
    stack: AsyncExitStack, direct: Settings, spool: Spool, metrics: IngestMetrics, pauses: Pauses
) -> Bypass:
    """What handles messages at once until the stack ends, and heeds who is paused."""
    session = await stack.enter_async_context(aiohttp.ClientSession())
    bypass = Bypass(direct, spool, metrics, session, now_ms, pauses.holds)
    reading = asyncio.create_task(pauses.keep_reading())
    stack.callback(reading.cancel)
    stack.push_async_callback(bypass.close)
    return bypass


async def stored(url: str, keys: Keys) -> list[Message]:
    """All messages of ``INSTANCE`` in the order of their entries, partition by partition."""
    found = []
    async with open_pipe(url, timeout_ms=5000, name="look") as pipe:
        for number in range(keys.partitions):
            stream = keys.partition(number).stream(INSTANCE)
            for _, (name, value) in await pipe.call("XRANGE", stream, "-", "+"):
                assert name == FIELD
                found.append(decode_message(INSTANCE, value))
    return found


def spooled_in(payload: bytes) -> Spooled:
    """The message of a record."""
    found = decode_record(payload)
    assert isinstance(found, Spooled)
    return found
