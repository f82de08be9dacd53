"""
Finishing windows together: a script per partition at a time, for all that have ended meanwhile.

There is no timer: a single window's finish leaves at once, and under load one script takes what
ended while the last one was on its way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from consumer.store import FinishAnswer, FinishCode, FinishRequest, PartitionStore
from shared.errors import BrokerRefused, BrokerUnavailable

FINISH_BATCH = 64
"""Windows per finish script: Redis answers nobody else while it runs."""

FINISH_BYTES = 1024 * 1024
"""Of replies and dead letters in one script; a larger one goes alone."""


_Waiting = tuple[FinishRequest, asyncio.Future[FinishCode]]


@dataclass(slots=True, eq=False)
class _Queue:
    """The windows of one partition that have ended; ``is_sent``: a task takes care of them."""

    waiting: deque[_Waiting] = field(default_factory=deque)
    is_sent: bool = False


class Finisher:
    """
    Finishes the windows of one worker.

    Any of a partition's stores will do: finish asks for no lease, only for the window's token.
    """

    def __init__(self, tasks: asyncio.TaskGroup, retention_ms: int) -> None:
        self._tasks = tasks
        self._retention_ms = retention_ms
        self._queues: dict[int, _Queue] = {}

    async def finish(self, store: PartitionStore, request: FinishRequest) -> FinishCode:
        """
        Record one window's outcome and release its user.

        After a crash before this call the window is handed out again with the same id; calling
        again after a lost answer is safe. Whoever is cancelled leaves it to its fate.

        Raises:
            BrokerRefused: an answer that is an error, of this window or of all.
            BrokerUnavailable: no answer; it may have run.
        """
        queue = self._queues.setdefault(store.keys.number, _Queue())
        future: asyncio.Future[FinishCode] = asyncio.get_running_loop().create_future()
        queue.waiting.append((request, future))
        if not queue.is_sent:
            queue.is_sent = True
            number = store.keys.number
            self._tasks.create_task(self._send(store, queue), name=f"finish-{number}")
        return await future

    async def _send(self, store: PartitionStore, queue: _Queue) -> None:
        try:
            while batch := _take(queue.waiting):
                await self._exchange(store, batch)
        finally:
            queue.is_sent = False

    async def _exchange(self, store: PartitionStore, batch: list[_Waiting]) -> None:
        answers: Sequence[FinishAnswer | BrokerUnavailable]
        try:
            answers = await store.finish([request for request, _ in batch], self._retention_ms)
        except (BrokerUnavailable, BrokerRefused) as error:
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, FinishCode):
                future.set_result(answer)
            else:
                future.set_exception(answer)


def _take(waiting: deque[_Waiting]) -> list[_Waiting]:
    """The next script's windows, out of what waits; without those that nobody waits for."""
    batch: list[_Waiting] = []
    size = 0
    while waiting and len(batch) < FINISH_BATCH:
        size += len(waiting[0][0].value)
        if batch and size > FINISH_BYTES:
            break
        one = waiting.popleft()
        if not one[1].done():
            batch.append(one)
    return batch
