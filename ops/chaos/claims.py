"""Which fault has what: a process, its network, or Redis."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ops.chaos.waiting import eventually

WAIT_S = 60.0


class Claims:
    """What faults act on, by name. No two faults have the same at the same time."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._taken: set[str] = set()

    @asynccontextmanager
    async def one_of(self, names: Callable[[], list[str]]) -> AsyncIterator[str]:
        """One that no other fault has, drawn, as long as the block; waits until there is one."""
        free: list[str] = []

        def is_one_free() -> bool:
            free[:] = sorted(set(names()) - self._taken)
            return bool(free)

        await eventually(is_one_free, "a process that no other fault has", WAIT_S)
        name = self._chance.choice(free)
        self._taken.add(name)
        try:
            yield name
        finally:
            self._taken.discard(name)
