"""
How many sends are on their way at the same time: so many of all, and of each instance.

A provider that does not answer keeps its instance's slots until the time limit of its calls. Each
instance has a first slot of its own, whatever the others hold, so it keeps no other one waiting.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

EACH = 64
"""Of one instance: providers limit rates far below that."""

SHARED = 256
"""Of all instances; beyond, each that has none still gets its first."""


class SendSlots:
    """
    The slots of one worker's sends. Nothing of it outlives the worker.

    Instances that wait for one of all slots take turns in ``_ring``; one that has ``each`` waits
    for its own ends, beside it. So an end costs the same, however many instances wait.
    """

    def __init__(self, each: int = EACH, shared: int = SHARED) -> None:
        self._each = each
        self._shared = shared
        self._taken: Counter[str] = Counter()
        self._total = 0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._ring: OrderedDict[str, None] = OrderedDict()

    @asynccontextmanager
    async def of(self, instance: str) -> AsyncIterator[None]:
        """A slot for as long as the block; an instance's are given in the order of asking."""
        if self._may_take(instance):
            self._take(instance)
        else:
            await self._wait(instance)
        try:
            yield
        finally:
            self._give_back(instance)

    def _may_take(self, instance: str) -> bool:
        taken = self._taken[instance]
        return not taken or (taken < self._each and self._total < self._shared)

    def _take(self, instance: str) -> None:
        self._taken[instance] += 1
        self._total += 1

    async def _wait(self, instance: str) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(instance, deque()).append(turn)
        self._join(instance)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(instance)
            raise

    def _join(self, instance: str) -> None:
        """An instance that waits takes turns, but for one that has all its own."""
        if instance in self._waiting and self._taken[instance] < self._each:
            self._ring[instance] = None

    def _give_back(self, instance: str) -> None:
        self._taken[instance] -= 1
        self._total -= 1
        self._join(instance)
        while self._ring and self._total < self._shared:
            self._hand_on(next(iter(self._ring)))
        if not self._taken[instance]:
            self._hand_on(instance)  # also when another one has it: the first is its own
        if not self._taken[instance]:
            del self._taken[instance]

    def _hand_on(self, instance: str) -> None:
        """Give a slot to who has waited longest; the instance comes last at the next one."""
        self._ring.pop(instance, None)
        turns = self._waiting.pop(instance, None)
        while turns:
            turn = turns.popleft()
            if not turn.done():
                self._take(instance)
                turn.set_result(None)
                break
        if turns:
            self._waiting[instance] = turns
            self._join(instance)
