"""
A connection to one server that batches by itself.

Calls that come while a batch is on its way form the next batch: no timer, so an idle pipe answers
at once and a busy one shares each round trip among dozens.

A connection that fails is dropped, and so is one whose server says that it is no primary, or is
none any more as another connection has found, or may be none, for its replicas do not follow it;
the next call connects anew. While nobody can be connected to, calls fail at once, and only one of
them in a pause (``shared.reconnect``) tries: however many call again, Redis is not stormed when it
comes back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection

from shared.answers import NOT_YET, AnswerReader
from shared.broker_errors import TO_BE_LEFT, classify
from shared.command import Call, Command, Failure, settle_all
from shared.durability import Durability, Promise, find_promise
from shared.errors import BrokerRefused, BrokerUnavailable, NotConnected
from shared.limit import Limit
from shared.pipe import Pipe
from shared.reconnect import Pause
from shared.route import Route, hang_up

BATCH_MAX = 512
"""More calls in one batch only delay the first answers; the rest goes into the next one."""

Batch = list[Command]


class NodePipe(Pipe):
    """
    One connection to one server.

    One batch is on its way at a time, so commands execute in the order of the calls.

    With a ``durability`` above ``memory`` a call returns when what it wrote, and everything
    before it on this server, is that durable: one more command per batch.
    """

    def __init__(
        self, route: Route, *, timeout_ms: int, name: str, durability: Durability | None = None
    ) -> None:
        super().__init__(timeout_ms=timeout_ms, name=name)
        self._timeout_s = timeout_ms / 1000
        self._route = route
        self._durability = durability or Durability()
        self._connection: tuple[AbstractConnection, AnswerReader] | None = None
        self._promise: Promise | None = None
        self._is_proven = False
        self._pause = Pause()
        self._waiting: deque[Command] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._is_busy = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way, and nothing waits."""
        return not self._is_busy and not self._waiting

    async def run(self) -> None:
        """Send batch after batch until cancelled; then nothing is accepted any more."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                self._is_busy = True
                while self._waiting:
                    await self._exchange(self._next_batch())
                self._is_busy = False
        finally:
            self._closed = True
            settle_all(self._waiting, BrokerUnavailable("the connection was closed"))
            await self._disconnect()

    def send(self, command: Command) -> None:
        """Send a command with the next batch."""
        if self._closed:
            raise BrokerUnavailable("the connection was closed")
        self._waiting.append(command)
        self._wake.set()

    async def call(self, *command: Any) -> Any:
        """Run one command."""
        return await self._queue(command)

    async def call_each(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Run commands that leave together."""
        return await asyncio.gather(*self._queue_each(commands))

    async def call_at(self, key: str, *command: Any) -> Any:  # noqa: ARG002 - a cluster needs it
        """There is one server."""
        return await self.call(*command)

    async def servers(self) -> Mapping[str, Pipe]:
        """There is one server."""
        return {"": self}

    def together(self, keys: Sequence[str]) -> list[Sequence[str]]:
        """Here one command may name all of them."""
        return [keys] if keys else []

    def beside(self, key: str, keys: Sequence[str]) -> Sequence[str]:  # noqa: ARG002
        """All are."""
        return keys

    def _queue(self, command: tuple[Any, ...]) -> asyncio.Future[Any]:
        """
        What becomes of one command. Whoever waits for it keeps it in no variable: its error would
        hold the frame, that the error, and both all that was sent, until the collector comes by.
        """
        loop = self._loop = self._loop or asyncio.get_running_loop()
        call = Call(pack_command(command), loop)
        self.send(call)
        return call.future

    def _queue_each(self, commands: Iterable[tuple[Any, ...]]) -> list[asyncio.Future[Any]]:
        """The same of several, once all of them are packed."""
        loop = asyncio.get_running_loop()
        calls = [Call(pack_command(command), loop) for command in commands]
        for call in calls:
            self.send(call)
        return [call.future for call in calls]

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
        """Each command of ``batch`` is settled, once, whatever happens; there may be none."""
        if not batch:
            return
        if self._connection is None and (met := self._pause.failure()) is not None:
            settle_all(batch, met)
            return
        if self._connection is not None and not self._route.is_current():
            await self._disconnect()
            settle_all(batch, NotConnected("another server is the primary now"))
            return
        if self.on_batch is not None:
            self.on_batch(sum(command.count for command in batch))
        left = deque(batch)
        has_sent = False
        try:
            packed = [command.pack() for command in batch]
            async with Limit(self._timeout_s) as limit:
                connection, answers = await self._connected()
                if self._promise is not None:
                    packed.append(pack_command(self._promise.command))
                has_sent = True
                await connection.send_packed_command(packed, check_health=False)
                refused, lacks = await self._settle_each(left, answers, limit)
        except asyncio.CancelledError:
            settle_all(left, BrokerUnavailable("the connection was closed"))
            raise
        except Exception as error:  # noqa: BLE001 - a dead peer may raise TypeError in redis-py
            await self._give_up(left, error, has_sent=has_sent)
        else:
            await self._judge_primary(refused, lacks)

    async def _settle_each(
        self, left: deque[Command], answers: AnswerReader, limit: Limit
    ) -> tuple[list[BrokerRefused], str | None]:
        """
        Settle each with its answer; where a promise ends the batch, when that has its own.

        ``left`` are those that are not settled. Returns what was refused, and what a promise lacks.
        """
        promise = self._promise
        refused: list[BrokerRefused] = []
        kept: list[Any] = []
        lacks: str | None = None
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
        return refused, lacks

    async def _next_answer(self, answers: AnswerReader, limit: Limit | None) -> Any:
        """
        ``limit``: its time begins anew, for it is for the next answer, not for all.

        A batch may hold many large ones. The first one's time began when the batch was sent.
        """
        if limit is not None:
            limit.renew()
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
        _drop_frames(failure)
        if not was_good:
            self._pause.begin(failure)
        settle_all(left, failure)

    async def _judge_primary(self, refused: list[BrokerRefused], lacks: str | None) -> None:
        """Whoever takes no writes because it is no primary is left: another server may be one."""
        for refusal in refused:
            if refusal.code in TO_BE_LEFT:
                await self._disconnect()
                self._pause.begin(refusal)
                return
        self._is_proven = True
        self._pause.end()
        if lacks is not None:
            await self._disconnect()

    async def _disconnect(self) -> None:
        connected, self._connection = self._connection, None
        self._is_proven = False
        if connected is not None:
            await hang_up(connected[0])


def _drop_frames(failure: BaseException) -> None:
    """
    Its tracebacks, and those of what led to it, go: their frames hold the batch, and the batch the
    failure, so that all that was sent would wait for the collector.
    """
    seen: set[int] = set()
    told: BaseException | None = failure
    while told is not None and id(told) not in seen:
        seen.add(id(told))
        told.__traceback__ = None
        told = told.__cause__ or told.__context__
