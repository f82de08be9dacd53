"""
Connections to Redis, and what its errors mean.

A ``Pipe`` is one connection. Calls that come while a batch is on its way form the next batch:
no timer, so an idle pipe answers at once and a busy one shares each round trip among dozens.
It never repeats a command: redis-py's own retries are off, because a repeated write may run
twice. Whoever calls decides, knowing that every write script is idempotent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from shared.broker_errors import classify
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.scripts import Script

BATCH_MAX_COMMANDS = 512
"""More than that in one batch only delays the first answers; the rest goes into the next one."""

BLOCK_MS = 2000
"""How long a blocking read waits; its pipe's timeout is longer by ``BLOCK_SLACK_MS``."""

BLOCK_SLACK_MS = 3000


class Pipe:
    """
    One connection to Redis that batches by itself.

    ``run`` must be running (a task of the owner's group); ``call`` and ``script`` may be used
    from any task. One batch is on its way at a time, so commands execute in the order of the
    calls. Whoever is cancelled while waiting leaves its command to its fate: it may run.
    """

    def __init__(self, url: str, *, timeout_ms: int, name: str) -> None:
        self.name = name
        self.on_batch: Callable[[int], None] | None = None
        self._timeout_s = timeout_ms / 1000
        self._pool = ConnectionPool.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,
            socket_connect_timeout=min(self._timeout_s, 5),
            client_name=f"inturn-{name}",
        )
        self._connection: AbstractConnection | None = None
        self._waiting: list[tuple[bytes, asyncio.Future[Any]]] = []
        self._wake = asyncio.Event()
        self._closed = False

    async def run(self) -> None:
        """Send batch after batch until cancelled; then nothing is accepted any more."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    batch = self._waiting[:BATCH_MAX_COMMANDS]
                    del self._waiting[:BATCH_MAX_COMMANDS]
                    await self._exchange(batch)
        finally:
            self._closed = True
            self._fail(self._waiting, BrokerUnavailable("the connection was closed"))
            await self._disconnect()

    async def call(self, *command: Any) -> Any:
        """
        Run one command.

        Raises:
            BrokerRefused: Redis answered with an error.
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

    async def _exchange(self, batch: list[tuple[bytes, asyncio.Future[Any]]]) -> None:
        if self.on_batch is not None:
            self.on_batch(len(batch))
        answered = 0
        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                connection = await self._connected()
                packed = [command for command, _ in batch]
                await connection.send_packed_command(packed, check_health=False)
                for _, future in batch:
                    answer = await self._answer(connection)
                    answered += 1
                    self._extend(limit)
                    _resolve(future, answer)
        except asyncio.CancelledError:
            self._fail(batch[answered:], BrokerUnavailable("the connection was closed"))
            raise
        except Exception as error:  # noqa: BLE001 - a dead peer may raise TypeError in redis-py
            await self._disconnect()
            self._fail(batch[answered:], classify(error))

    def _extend(self, limit: asyncio.Timeout) -> None:
        """The time is for the next answer, not for all: a batch may hold many large ones."""
        due_s = asyncio.get_running_loop().time() + self._timeout_s
        if due_s - (limit.when() or 0) > self._timeout_s / 4:
            limit.reschedule(due_s)

    async def _connected(self) -> AbstractConnection:
        if self._connection is None:
            connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            await connection.connect()  # type: ignore[no-untyped-call]
            self._connection = connection
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

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    def _fail(
        self,
        batch: list[tuple[bytes, asyncio.Future[Any]]],
        error: BrokerRefused | BrokerUnavailable,
    ) -> None:
        for _, future in batch:
            _resolve(future, error)


def _resolve(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, (BrokerRefused, BrokerUnavailable)):
        future.set_exception(answer)
    else:
        future.set_result(answer)


@asynccontextmanager
async def open_pipe(url: str, *, timeout_ms: int, name: str) -> AsyncIterator[Pipe]:
    """A pipe that runs as long as the block, for what is short; services run theirs in a group."""
    pipe = Pipe(url, timeout_ms=timeout_ms, name=name)
    task = asyncio.create_task(pipe.run(), name=f"pipe-{name}")
    try:
        yield pipe
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
