"""
How many windows may be in hand here at once: of one instance, ``INSTANCE_CONCURRENCY``; of all
that one blocking function answers, as many as it has threads.

A window without a place takes no handler slot, and its time does not run, so that a handler that
bears two calls at a time keeps nobody else's windows waiting. Places are counted here alone and
come back with the slots: a crash leaves nothing behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from shared.handlers.chosen import Pool

LimitOf = Callable[[str, str | None], int | None]
"""Of an instance, whose messages came through a connection if nobody names it; None: no limit."""


PoolOf = Callable[[str, str | None], Pool | None]
"""The same of what its handler shares with other instances; None: nothing that ends."""


class Places:
    """The places of instances and pools, and which partitions wait for one."""

    def __init__(self, limit_of: LimitOf, pool_of: PoolOf | None = None) -> None:
        self._limit_of = limit_of
        self._pool_of = pool_of
        self._in_hand: Counter[object] = Counter()
        self._refused: set[object] = set()
        self._waiting: dict[object, set[int]] = {}

    def room(self, instance: str, connection: str | None) -> int | None:
        """How many more of its windows may start; None: any number."""
        bounds = self._bounds(instance, connection)
        rooms = [limit - self._in_hand[of] for of, limit in bounds if limit is not None]
        return max(min(rooms), 0) if rooms else None

    def take(self, instance: str, connection: str | None) -> bool:
        """Take a place for a window that is about to start. False: it must wait for one."""
        if self.room(instance, connection) == 0:
            self.refuse(instance, connection)
            return False
        for of, _ in self._bounds(instance, connection):
            self._in_hand[of] += 1
        return True

    def refuse(self, instance: str, connection: str | None) -> None:
        """Some of its windows wait for a place."""
        self._refused.update(of for of, _ in self._bounds(instance, connection))

    def wait(self, number: int) -> None:
        """What was refused since the last call was a partition's: it hears of the next place."""
        for of in self._refused:
            self._waiting.setdefault(of, set()).add(number)
        self._refused.clear()

    def give_back(self, instance: str, connection: str | None) -> set[int]:
        """A window has ended; gives the partitions to be told, which wait no longer."""
        told: set[int] = set()
        for of, _ in self._bounds(instance, connection):
            self._in_hand[of] -= 1
            if not self._in_hand[of]:
                del self._in_hand[of]
            told |= self._waiting.pop(of, set())
        return told

    def _bounds(self, instance: str, connection: str | None) -> list[tuple[object, int | None]]:
        """Whose places it takes one of, and how many there are."""
        own = (instance, self._limit_of(instance, connection))
        pool = self._pool_of(instance, connection) if self._pool_of is not None else None
        return [own] if pool is None else [own, pool]
