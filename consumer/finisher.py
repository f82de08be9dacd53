"""
Finishing windows together: a script per partition at a time, for all that have ended meanwhile.

There is no timer: a single window's finish leaves at once, and under load one script takes what
ended while the last one was on its way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from consumer.answers import FinishAnswer, FinishRequest
from consumer.store import PartitionStore
from shared.errors import BrokerRefused, BrokerUnavailable

FINISH_BATCH = 64
"""Windows per finish script: Redis answers nobody else while it runs."""

FINISH_BYTES = 1024 * 1024
"""Of replies, dead letters and memories in one script; a larger one goes alone."""


Hear = Callable[[FinishAnswer | BrokerUnavailable], None]
"""Told what became of a window: an error of its own or of all, or no answer; it may have run."""

_Waiting = tuple[FinishRequest, Hear]


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

    def finish(self, store: PartitionStore, request: FinishRequest, hear: Hear) -> None:
        """
        Record one window's outcome and release its user; ``hear`` is called once it is known.

        After a crash before that the window is handed out again with the same id; calling again
        after a lost answer is safe.
        """
        number = store.keys.number
        queue = self._queues.get(number)
        if queue is None:
            queue = self._queues[number] = _Queue()
        queue.waiting.append((request, hear))
        if not queue.is_sent:
            queue.is_sent = True
            self._tasks.create_task(self._send(store, queue), name=f"finish-{number}")

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
        for (_, hear), answer in zip(batch, answers, strict=True):
            hear(answer)


def _take(waiting: deque[_Waiting]) -> list[_Waiting]:
    """The next script's windows, out of what waits."""
    batch: list[_Waiting] = []
    size = 0
    while waiting and len(batch) < FINISH_BATCH:
        request = waiting[0][0]
        size += len(request.value)
        if request.memory is not None:
            size += len(request.memory.item)
        if batch and size > FINISH_BYTES:
            break
        batch.append(waiting.popleft())
    return batch
