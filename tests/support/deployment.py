"""
Workers in the test's own process, on a real Redis, under a prefix of their own.

    async with deployment(redis_url, prefix, handler=server.url) as shop:
        async with shop.worker():
            await shop.say("alice", "hi", "are you open?")
            await server.wait_for_calls(1)

Times are short, so that no test waits for the defaults; leases stay long where a busy machine
could lose them.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from redis.asyncio import Redis

from consumer.partition import Partition
from consumer.worker import Worker
from ingest.append import RedisAppender
from shared.connect import Pipe
from shared.dead_letters import DeadLetters
from shared.keys import Keys
from shared.metrics import ConsumerMetrics, IngestMetrics, InstanceLabels
from shared.model import EntryId, Message, Window, window_id
from shared.record import Record, decode_record
from shared.settings import Settings
from shared.wire import DeadLetter, OutboxReply, decode_dead_letter, decode_reply
from tests.support.clients import cut_others, look_into
from tests.support.pipes import running_pipe
from tests.support.redis_users import as_user
from tests.support.waiting import eventually

INSTANCE = "shop"

Row = tuple[bytes, dict[bytes, bytes]]
"""A stream's entry as redis-py gives it."""

QUICK: dict[str, Any] = {
    "partitions": 4,
    "max_wait_ms": 300,
    "grace_ms": 200,
    "lease_ms": 3000,
    "drain_ms": 3000,
    "retry_base_ms": 40,
    "handler_timeout_ms": 10_000,
}

END_S = 10.0
"""A worker that was told to stop must be gone by then."""


class RunningWorker:
    """One worker in a task; its metrics are its own."""

    def __init__(self, settings: Settings, redis_url: str, keys: Keys) -> None:
        self.settings = settings
        self.metrics = ConsumerMetrics()
        self.worker = Worker(settings, as_user(redis_url, "consumer"), keys, self.metrics)
        self.stopping = asyncio.Event()
        self.task = asyncio.create_task(self.worker.run(self.stopping), name=self.worker.id)

    @property
    def partitions(self) -> Mapping[int, Partition]:
        """The partitions in its hand, to look into and to wake."""
        return self.worker._keeper.partitions

    @property
    def owned(self) -> set[int]:
        """The partitions that it owns and has rebuilt."""
        return {number for number, held in self.partitions.items() if held.is_trusted()}

    @property
    def has_joined(self) -> bool:
        """Whether its first round is over: it is known, and has what was free for it."""
        return self.worker._keeper.has_joined

    def count(self, metric: str, **labels: str) -> float:
        """The value of ``inturn_<metric>``; 0 for one that was never set."""
        return self.metrics.registry.get_sample_value(f"inturn_{metric}", labels) or 0.0

    async def owns(self, count: int) -> None:
        """Wait until it owns ``count`` partitions."""
        await eventually(lambda: len(self.owned) == count, f"{count} partitions of {self.owned}")

    async def drain(self) -> None:
        """End it as SIGTERM does, and wait for its end."""
        self.stopping.set()
        await asyncio.wait_for(asyncio.shield(self.task), END_S)

    async def crash(self) -> None:
        """End it where it stands: it says nothing to Redis any more."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


class Deployment:
    """Settings, keys, an appender, and a look into Redis from outside."""

    def __init__(
        self, settings: Settings, redis_url: str, redis: Redis, pipe: Pipe, metrics: IngestMetrics
    ) -> None:
        self.settings = settings
        self.redis_url = redis_url
        self.redis = redis
        self.keys = Keys(settings.prefix, settings.partitions)
        self.letters = DeadLetters(pipe, self.keys)
        self._appender = RedisAppender(pipe, self.keys, settings.dedupe_ms, metrics)
        self._serial = itertools.count(1)

    @asynccontextmanager
    async def worker(
        self, redis_url: str | None = None, **changes: Any
    ) -> AsyncIterator[RunningWorker]:
        """
        A worker under the deployment's settings and ``changes``; it is drained at the end.

        Inside, it has joined and taken what is free. ``redis_url`` leads it through a proxy.
        """
        settings = self.settings.model_copy(update=changes)
        running = RunningWorker(settings, redis_url or self.redis_url, self.keys)
        try:
            await eventually(lambda: running.has_joined or running.task.done(), "a new worker")
            yield running
        finally:
            if running.task.done():
                with suppress(asyncio.CancelledError):
                    await running.task
            else:
                await running.drain()

    async def say(
        self, user: str, *texts: str, instance: str = INSTANCE, **fields: Any
    ) -> list[EntryId]:
        """
        Append one message per text, in this order; their entry ids.

        A few go in one call: no time passes between them, whatever the machine is doing, in which
        a window could be over.
        """
        messages = []
        for text in texts:
            values = {"message_id": f"M{next(self._serial)}", "received_at": now_ms(), **fields}
            messages.append(Message(instance=instance, user=user, text=text, **values))
        accepted = await self._appender.append(messages)
        ids = [EntryId.parse(one.entry_id) for one in accepted if one.entry_id is not None]
        assert len(ids) == len(texts)
        return ids

    async def backlog(self) -> int:
        """Unfinished messages."""
        return sum([await self.redis.xlen(key) for key in await self.streams()])

    async def streams(self) -> list[bytes]:
        """The keys of all streams of messages."""
        pattern = f"{self.keys.prefix}:*:stream:*"
        return [key async for key in self.redis.scan_iter(pattern, count=1000)]

    async def finished(self) -> None:
        """Wait until nothing is unfinished."""
        await eventually(self._is_finished, "an empty backlog")

    async def _is_finished(self) -> bool:
        return await self.backlog() == 0

    async def dead_letters(self) -> list[DeadLetter]:
        """Every dead letter, oldest first within its partition."""
        return [decode_dead_letter(value) for value in await self._values("dead")]

    async def outbox(self) -> list[OutboxReply]:
        """Every unsent reply."""
        return [decode_reply(value) for value in await self._values("outbox")]

    async def journal(self) -> list[dict[str, str]]:
        """What became of windows and replies."""
        rows = await self._rows("journal")
        return [
            {name.decode(): value.decode() for name, value in fields.items()} for _, fields in rows
        ]

    async def record(self, user: str, instance: str = INSTANCE) -> Record | None:
        """The record of a user's window that has begun."""
        key = self.keys.of(instance, user).running
        value = cast("bytes | None", await self.redis.hget(key, f"{instance}\0{user}"))
        return None if value is None else decode_record(value)

    async def kill_connections(self) -> int:
        """CLIENT KILL of every connection but our own; how many."""
        return await cut_others(self.redis)

    async def _values(self, name: str) -> list[bytes]:
        return [fields[b"m"] for _, fields in await self._rows(name)]

    async def _rows(self, name: str) -> list[Row]:
        found: list[Row] = []
        for number in range(self.settings.partitions):
            found += await self.rows_of(getattr(self.keys.partition(number), name))
        return found

    async def rows_of(self, stream: str) -> list[Row]:
        """All entries of a stream."""
        return cast("list[Row]", await self.redis.xrange(stream))


@asynccontextmanager
async def deployment(redis_url: str, prefix: str, **changes: Any) -> AsyncIterator[Deployment]:
    """A deployment under ``QUICK`` settings and ``changes``, without any worker yet."""
    settings = Settings(**{**QUICK, "prefix": prefix, **changes})
    redis = look_into(redis_url)
    metrics = IngestMetrics(InstanceLabels(10))
    try:
        async with running_pipe(redis_url) as pipe:
            yield Deployment(settings, redis_url, redis, pipe, metrics)
    finally:
        await redis.aclose()


def now_ms() -> int:
    """This machine's time."""
    return round(time.time() * 1000)


def id_of_window(user: str, first: EntryId, instance: str = INSTANCE) -> str:
    """What the window that begins with an entry is called."""
    return window_id(instance, user, first)


def texts_of(window: Window) -> list[str]:
    """What its members say, in stream order."""
    return [entry.message.text for entry in window.members]
