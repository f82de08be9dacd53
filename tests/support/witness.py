"""A witness of how busy the machine is: if it is kept waiting, so is everybody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

PAUSE_S = 0.01


class Witness:
    """``worst_s``: the longest that a PING to Redis took, from the wish to send it on."""

    def __init__(self) -> None:
        self.worst_s = 0.0

    def allows_s(self, goal_s: float) -> float:
        """
        ``goal_s`` on a quiet machine; else three times the longest wait.

        What is due waits for its time, for a read and for a start: for a process's turn each time.
        """
        return max(goal_s, 3 * self.worst_s)


@asynccontextmanager
async def witness(redis: Redis) -> AsyncIterator[Witness]:
    """
    Watches while inside.

    It is told to end, not cancelled: redis-py sends by ``asyncio.wait_for``, which on Python 3.11
    may lose a cancellation.
    """
    seen = Witness()
    ended = asyncio.Event()

    async def watch() -> None:
        while not ended.is_set():
            began_s = time.monotonic()
            await asyncio.sleep(PAUSE_S)
            await redis.ping()
            seen.worst_s = max(seen.worst_s, time.monotonic() - began_s - PAUSE_S)

    async with asyncio.TaskGroup() as group:
        group.create_task(watch(), name="witness")
        try:
            yield seen
        finally:
            ended.set()
