"""
Connections to Redis that batch by themselves.

A ``Pipe`` is one connection. Calls that come while a batch is on its way form the next batch:
no timer, so an idle pipe answers at once and a busy one shares each round trip among dozens.
It never repeats a command: a repeated write may run twice. Whoever calls decides, knowing that
every write script is idempotent.

A connection that fails, or whose server says that it is no primary, is dropped; the next call
connects anew. While nobody can be connected to, calls fail at once, and only one of them in a pause
(``shared.reconnect``) tries: however many call again, Redis is not stormed when it comes back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection

from shared.answers import NOT_YET, AnswerReader
from shared.broker_errors import NOT_A_PRIMARY, classify
from shared.command import Call, Command, Failure, settle_all
from shared.durability import Durability, Promise, find_promise
from shared.errors import BrokerRefused, BrokerUnavailable, NotConnected
from shared.one_server import OneServer
from shared.reconnect import Pause
from shared.redis_url import is_sentinel_url
from shared.route import DirectRoute, Route, connection_options
from shared.scripts import Script
from shared.sentinel import SentinelRoute

BATCH_MAX = 512
"""More calls in one batch only delay the first answers; the rest goes into the next one."""

BLOCK_MS = 2000
"""How long a blocking read waits; its pipe's timeout is longer by ``BLOCK_SLACK_MS``."""

BLOCK_SLACK_MS = 3000

Batch = list[Command]


class Pipe(OneServer):
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
        self._connection: tuple[AbstractConnection, AnswerReader] | None = None
        self._promise: Promise | None = None
        self._is_proven = False
        self._pause = Pause()
        self._waiting: deque[Command] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None  # to ask for it is a system call

    async def run(self) -> None:
        """Send batch after batch until cancelled; then nothing is accepted any more."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    if batch := self._next_batch():
                        await self._exchange(batch)
        finally:
            self._closed = True
            settle_all(self._waiting, BrokerUnavailable("the connection was closed"))
            await self._disconnect()

    def send(self, command: Command) -> None:
        """
        Send a command with the next batch; it is told what becomes of it, not the caller.

        Raises:
            BrokerUnavailable: this pipe has ended; nothing was sent, and ``command`` is not told.
        """
        if self._closed:
            raise BrokerUnavailable("the connection was closed")
        self._waiting.append(command)
        self._wake.set()

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
        loop = self._loop = self._loop or asyncio.get_running_loop()
        call = Call(pack_command(command), loop)
        self.send(call)
        return await call.future

    async def call_each(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        """
        Run commands that leave together, and no task for each; their answers, in order.

        Raises:
            what ``call`` raises, of the first that fails; the others may have run.
        """
        loop = asyncio.get_running_loop()
        calls = [Call(pack_command(command), loop) for command in commands]
        for call in calls:
            self.send(call)
        return await asyncio.gather(*[call.future for call in calls])

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

    def _next_batch(self) -> Batch:
        """What waits and is still wanted, as much as goes into one batch."""
        batch: Batch = []
        count = 0
        while self._waiting and count < BATCH_MAX:
            command = self._waiting.popleft()
            if command.is_wanted():
                batch.append(command)
                count += command.count
        return batch

    async def _exchange(self, batch: Batch) -> None:
        """Each command of ``batch`` is settled, once, whatever happens."""
        if self._connection is None and (met := self._pause.failure()) is not None:
            settle_all(batch, met)
            return
        if self.on_batch is not None:
            self.on_batch(sum(command.count for command in batch))
        left = deque(batch)
        has_sent = False
        try:
            packed = [command.pack() for command in batch]
            async with asyncio.timeout(self._timeout_s) as limit:
                connection, answers = await self._connected()
                if self._promise is not None:
                    packed.append(pack_command(self._promise.command))
                has_sent = True
                await connection.send_packed_command(packed, check_health=False)
                refused = await self._settle_each(left, answers, limit)
        except asyncio.CancelledError:
            settle_all(left, BrokerUnavailable("the connection was closed"))
            raise
        except Exception as error:  # noqa: BLE001 - a dead peer may raise TypeError in redis-py
            await self._give_up(left, error, has_sent=has_sent)
        else:
            await self._judge_primary(refused)

    async def _settle_each(
        self, left: deque[Command], answers: AnswerReader, limit: asyncio.Timeout
    ) -> list[BrokerRefused]:
        """
        Settle each with its answer; where a promise ends the batch, when that has its own.

        ``left`` are those that are not settled. Returns what was refused.
        """
        promise = self._promise
        refused: list[BrokerRefused] = []
        kept: list[Any] = []
        for at in range(len(left)):
            answer = answers.take()
            if answer is NOT_YET:
                answer = await self._next_answer(answers, limit if at else None)
            if promise is not None:
                kept.append(answer)
                continue
            if refusal := left[0].settle(answer):
                refused.append(refusal)
            left.popleft()
        if promise is not None:
            lacks = promise.lacks(await self._next_answer(answers, limit))
            for answer in kept:
                if refusal := left[0].settle(answer, lacks):
                    refused.append(refusal)
                left.popleft()
        return refused

    async def _next_answer(self, answers: AnswerReader, limit: asyncio.Timeout | None) -> Any:
        """
        ``limit``: its time begins anew, for it is for the next answer, not for all.

        A batch may hold many large ones. The first one's time began when the batch was sent.
        """
        if limit is not None:
            due_s = asyncio.get_running_loop().time() + self._timeout_s
            if due_s - (limit.when() or 0) > self._timeout_s / 4:
                limit.reschedule(due_s)
        while (answer := answers.take()) is NOT_YET:
            await answers.wait()
        return answer

    async def _connected(self) -> tuple[AbstractConnection, AnswerReader]:
        if self._connection is None:
            connection = await self._route.connect()
            answers = AnswerReader(connection)
            self._connection = connection, answers

            async def ask(*command: Any) -> Any:
                await connection.send_command(*command)
                return await self._next_answer(answers, None)

            self._promise = await find_promise(self._durability, ask, self.timeout_ms)
        return self._connection

    async def _give_up(self, left: deque[Command], error: Exception, *, has_sent: bool) -> None:
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
        settle_all(left, failure)

    async def _judge_primary(self, refused: list[BrokerRefused]) -> None:
        """Whoever takes no writes because it is no primary is left: another server may be one."""
        for refusal in refused:
            if refusal.code in NOT_A_PRIMARY:
                await self._disconnect()
                self._pause.begin(refusal)
                return
        self._is_proven = True
        self._pause.end()

    async def _disconnect(self) -> None:
        connected, self._connection = self._connection, None
        self._is_proven = False
        if connected is not None:
            await connected[0].disconnect(nowait=True)


def route_of(url: str, *, timeout_s: float, client_name: str) -> Route:
    """The way that ``url`` names; a connection is given up after ``timeout_s``."""
    options = connection_options(timeout_s, client_name)
    if is_sentinel_url(url):
        return SentinelRoute(url, timeout_s=timeout_s, options=options)
    return DirectRoute(url, options)


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
