"""
Connections to Redis that batch by themselves.

A ``Pipe`` is one connection. Calls that come while a batch is on its way form the next batch:
no timer, so an idle pipe answers at once and a busy one shares each round trip among dozens.
It never repeats a command: a repeated write may run twice. Whoever calls decides, knowing that
every write script is idempotent.

A connection that fails, or whose server says that it is no primary, is dropped; the next call
connects anew. While nobody can be connected to, calls fail at once, and only one of them in
``RECONNECT_MAX_S`` tries: however many call again, Redis is not stormed when it comes back.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from shared.broker_errors import NOT_A_PRIMARY, classify
from shared.durability import Durability, Promise, find_promise
from shared.errors import BrokerRefused, BrokerUnavailable, NotConnected, NotDurable
from shared.redis_url import is_sentinel_url
from shared.route import DirectRoute, Route, connection_options
from shared.scripts import Script
from shared.sentinel import SentinelRoute

BATCH_MAX_COMMANDS = 512
"""More than that in one batch only delays the first answers; the rest goes into the next one."""

BLOCK_MS = 2000
"""How long a blocking read waits; its pipe's timeout is longer by ``BLOCK_SLACK_MS``."""

BLOCK_SLACK_MS = 3000

RECONNECT_S = 0.05
RECONNECT_MAX_S = 0.5
"""The pause after a failed connection, doubled from the one to the other, half of it drawn."""

Batch = list[tuple[bytes, asyncio.Future[Any]]]
Failure = BrokerRefused | BrokerUnavailable


class Pipe:
    """
    One connection to Redis that batches by itself.

    ``run`` must be running (a task of the owner's group); ``call`` and ``script`` may be used
    from any task. One batch is on its way at a time, so commands execute in the order of the
    calls. Whoever is cancelled leaves a command that was sent to its fate: it may run.

    With a ``durability`` above ``memory`` a call returns when what it wrote, and everything
    before it on this server, is that durable: one more command per batch.
    """

    def __init__(
        self, url: str, *, timeout_ms: int, name: str, durability: Durability | None = None
    ) -> None:
        self.name = name
        self.timeout_ms = timeout_ms
        self.on_batch: Callable[[int], None] | None = None
        self._timeout_s = timeout_ms / 1000
        self._route = route_of(url, timeout_s=self._timeout_s, client_name=f"inturn-{name}")
        self._durability = durability or Durability()
        self._connection: AbstractConnection | None = None
        self._promise: Promise | None = None
        self._is_proven = False
        self._pause = _Pause()
        self._waiting: Batch = []
        self._wake = asyncio.Event()
        self._closed = False

    async def run(self) -> None:
        """Send batch after batch until cancelled; then nothing is accepted any more."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    batch = [one for one in self._waiting[:BATCH_MAX_COMMANDS] if not one[1].done()]
                    del self._waiting[:BATCH_MAX_COMMANDS]
                    if batch:
                        await self._exchange(batch)
        finally:
            self._closed = True
            _fail(self._waiting, BrokerUnavailable("the connection was closed"))
            await self._disconnect()

    async def call(self, *command: Any) -> Any:
        """
        Run one command.

        Raises:
            BrokerRefused: Redis answered with an error.
            NotConnected: nothing was sent.
            NotDurable: it ran, and is not as durable as asked.
            BrokerUnavailable: no answer; the command may have run, or may run later.
            UnicodeEncodeError, TypeError: it cannot be written down; nothing was sent.
        """
        if self._closed:
            raise BrokerUnavailable("the connection was closed")
        packed = pack_command(command)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((packed, future))
        self._wake.set()
        return await future

    async def script(self, script: Script, keys: Sequence[Any], args: Sequence[Any]) -> Any:
        """Run one script, by its hash; by its text where Redis does not know it (yet)."""
        rest = (len(keys), *keys, *args)
        try:
            return await self.call("EVALSHA", script.sha, *rest)
        except BrokerRefused as error:
            if error.code != "NOSCRIPT":
                raise
        return await self.call("EVAL", script.source, *rest)

    def require_block(self, block_ms: int) -> None:
        """
        Make sure that a blocking read of ``block_ms`` returns before this pipe gives it up.

        Raises:
            ValueError: it would not, or it would hold this connection for too long.
        """
        if block_ms > BLOCK_MS or self.timeout_ms < block_ms + BLOCK_SLACK_MS:
            raise ValueError(f"{self.name}: BLOCK {block_ms} with a timeout of {self.timeout_ms}")

    async def _exchange(self, batch: Batch) -> None:
        if self._connection is None and (met := self._pause.failure()) is not None:
            _fail(batch, met)
            return
        if self.on_batch is not None:
            self.on_batch(len(batch))
        has_sent = False
        answered: list[Any] = []
        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                connection = await self._connected()
                promise, packed = self._promise, [command for command, _ in batch]
                if promise is not None:
                    packed.append(pack_command(promise.command))
                has_sent = True
                await connection.send_packed_command(packed, check_health=False)
                for _, future in batch:
                    answered.append(await self._answer(connection))
                    self._extend(limit)
                    if promise is None:
                        _resolve(future, answered[-1])
                if promise is not None:
                    lacks = promise.lacks(await self._answer(connection))
                    _resolve_all(batch, answered, lacks)
        except asyncio.CancelledError:
            _fail(batch, BrokerUnavailable("the connection was closed"))
            raise
        except Exception as error:  # noqa: BLE001 - a dead peer may raise TypeError in redis-py
            await self._give_up(batch, error, has_sent=has_sent)
        else:
            await self._judge_primary(answered)

    def _extend(self, limit: asyncio.Timeout) -> None:
        """The time is for the next answer, not for all: a batch may hold many large ones."""
        due_s = asyncio.get_running_loop().time() + self._timeout_s
        if due_s - (limit.when() or 0) > self._timeout_s / 4:
            limit.reschedule(due_s)

    async def _connected(self) -> AbstractConnection:
        if self._connection is None:
            connection = self._connection = await self._route.connect()

            async def ask(*command: Any) -> Any:
                await connection.send_command(*command)
                return await self._answer(connection)

            self._promise = await find_promise(self._durability, ask, self.timeout_ms)
        return self._connection

    async def _answer(self, connection: AbstractConnection) -> Any:
        try:
            return await connection.read_response(disconnect_on_error=False)
        except RedisError as error:
            meaning = classify(error)
            if isinstance(meaning, BrokerUnavailable):
                raise
            meaning.__cause__ = error
            return meaning

    async def _give_up(self, batch: Batch, error: Exception, *, has_sent: bool) -> None:
        """The connection is of no use any more, or there is none."""
        was_good = has_sent and self._is_proven
        await self._disconnect()
        failure = error if isinstance(error, Failure) else classify(error)
        if not has_sent and type(failure) is BrokerUnavailable:
            failure = NotConnected(str(failure))
        if failure is not error:
            failure.__cause__ = error
        if not was_good:
            self._pause.begin(failure)
        _fail(batch, failure)

    async def _judge_primary(self, answers: list[Any]) -> None:
        """Whoever takes no writes because it is no primary is left: another server may be one."""
        for answer in answers:
            if isinstance(answer, BrokerRefused) and answer.code in NOT_A_PRIMARY:
                await self._disconnect()
                self._pause.begin(answer)
                return
        self._is_proven = True
        self._pause.end()

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._is_proven = False
        if connection is not None:
            await connection.disconnect(nowait=True)


class _Pause:
    """Between two tries to connect: while it lasts, calls fail with what the last one met."""

    def __init__(self) -> None:
        self._tries = 0
        self._until_s = 0.0
        self._met: Failure | None = None

    def begin(self, met: Failure) -> None:
        longest_s = min(RECONNECT_S * 2**self._tries, RECONNECT_MAX_S)
        self._tries = min(self._tries + 1, 10)
        self._until_s = time.monotonic() + longest_s * random.uniform(0.5, 1.0)
        self._met = met

    def end(self) -> None:
        self._tries, self._met = 0, None

    def failure(self) -> Failure | None:
        """What the last try met, if it is too early for another; nothing was sent."""
        met = self._met
        if met is None or time.monotonic() >= self._until_s:
            return None
        if isinstance(met, BrokerRefused):
            return BrokerRefused(met.code, str(met))
        return NotDurable(str(met)) if isinstance(met, NotDurable) else NotConnected(str(met))


def route_of(url: str, *, timeout_s: float, client_name: str) -> Route:
    """The way that ``url`` names; a connection is given up after ``timeout_s``."""
    options = connection_options(timeout_s, client_name)
    if is_sentinel_url(url):
        return SentinelRoute(url, timeout_s=timeout_s, options=options)
    return DirectRoute(url, options)


def _resolve(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, Failure):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _resolve_all(batch: Batch, answers: list[Any], lacks: str | None) -> None:
    for (_, future), answer in zip(batch, answers, strict=True):
        if lacks is None or isinstance(answer, Failure):
            _resolve(future, answer)
        else:
            _resolve(future, NotDurable(lacks, answer))


def _fail(batch: Batch, error: Failure) -> None:
    for _, future in batch:
        _resolve(future, error)


@asynccontextmanager
async def open_pipe(
    url: str, *, timeout_ms: int, name: str, durability: Durability | None = None
) -> AsyncIterator[Pipe]:
    """A pipe that runs as long as the block, for what is short; services run theirs in a group."""
    pipe = Pipe(url, timeout_ms=timeout_ms, name=name, durability=durability)
    task = asyncio.create_task(pipe.run(), name=f"pipe-{name}")
    try:
        yield pipe
    finally:
        task.cancel()
        # not awaited itself: whoever cancels us meanwhile must be heard
        await asyncio.wait([task])
