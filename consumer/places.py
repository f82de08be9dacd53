"""
How many windows of one instance may be in hand here at once: ``INSTANCE_CONCURRENCY``.

A window without a place takes no handler slot, so that an instance whose handler bears two calls
at a time keeps nobody else's windows waiting. Places are counted here alone and come back with the
slots: a crash leaves nothing behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

LimitOf = Callable[[str, str | None], int | None]
"""Of an instance, whose messages came through a connection if nobody names it; None: no limit."""


class Places:
    """The places of all instances, and which partitions wait for one."""

    def __init__(self, limit_of: LimitOf) -> None:
        self._limit_of = limit_of
        self._in_hand: Counter[str] = Counter()
        self._refused: set[str] = set()
        self._waiting: dict[str, set[int]] = {}

    def room(self, instance: str, connection: str | None) -> int | None:
        """How many more of its windows may start; None: any number."""
        limit = self._limit_of(instance, connection)
        return None if limit is None else max(limit - self._in_hand[instance], 0)

    def take(self, instance: str, connection: str | None) -> bool:
        """Take a place for a window that is about to start. False: it must wait for one."""
        if self.room(instance, connection) == 0:
            self.refuse(instance)
            return False
        self._in_hand[instance] += 1
        return True

    def refuse(self, instance: str) -> None:
        """Some of its windows wait for a place."""
        self._refused.add(instance)

    def wait(self, number: int) -> None:
        """What was refused since the last call was a partition's: it hears of the next place."""
        for instance in self._refused:
            self._waiting.setdefault(instance, set()).add(number)
        self._refused.clear()

    def give_back(self, instance: str) -> set[int]:
        """A window has ended; gives the partitions to be told, which wait no longer."""
        self._in_hand[instance] -= 1
        if not self._in_hand[instance]:
            del self._in_hand[instance]
        return self._waiting.pop(instance, set())
