"""
How many windows may be in hand here at once: of one instance, ``INSTANCE_CONCURRENCY``; of all
that one blocking function answers, as many as it has threads.

A window without a place takes no handler slot, and its time does not run, so that a handler that
bears two calls at a time keeps nobody else's windows waiting. Places are counted here alone and
come back with the slots: a crash leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from shared.handlers.chosen import Pool

LimitOf = Callable[[str, str | None], int | None]
"""Of an instance, whose messages came through a connection if nobody names it; None: no limit."""


PoolOf = Callable[[str, str | None], Pool | None]
"""The same of what its handler shares with other instances; None: nothing that ends."""

Line = tuple[int, str]
"""Windows of a kind and an instance: what waits for a place together."""

ORPHANS, BULKY, OTHERS = KINDS = (0, 1, 2)
"""Those that run one at a time, those that are bounded by their bytes, and the rest."""


@dataclass(slots=True)
class _Bound:
    """
    Places that one instance has, or several share.

    Lines that were ``called`` have waited for one, and have it before all that ask later.
    """

    limit: int | None = None
    in_hand: int = 0
    waiting: dict[Line, None] = field(default_factory=dict)
    called: set[Line] = field(default_factory=set)

    def has_room(self) -> bool:
        """For one more, beside those that were called."""
        return self.limit is None or self.in_hand + len(self.called) < self.limit

    def is_idle(self) -> bool:
        """Nothing is known of it but its limit."""
        return not self.in_hand and not self.waiting and not self.called


class Places:
    """The places of instances and pools, and which lines wait for one, in the order of asking."""

    def __init__(self, limit_of: LimitOf, pool_of: PoolOf | None = None) -> None:
        self._limit_of = limit_of
        self._pool_of = pool_of
        self._bounds: dict[object, _Bound] = {}
        self._asked: dict[Line, object] = {}
        self._called: list[Line] = []
        self._promised: dict[object, dict[Line, None]] = {}

    def take(self, line: Line, connection: str | None) -> bool:
        """Take a place for the first window of a line. False: it waits until it is called."""
        asked = self._withdraw(line)
        bounds = self._bounds_of(line[1], connection)
        full = next((of for of in bounds if not self._bounds[of].has_room()), None)
        if full is not None:
            self._bounds[full].waiting[line] = None
            self._asked[line] = full
        else:
            for of in bounds:
                self._bounds[of].in_hand += 1
        self._call(asked)
        return full is None

    def give_back(self, instance: str, connection: str | None) -> None:
        """A window has ended."""
        for of in self._bounds_of(instance, connection):
            self._bounds[of].in_hand -= 1
            self._call(of)

    def leave(self, line: Line) -> None:
        """Nothing waits in a line, though it may have been called: the next one is, instead."""
        self._call(self._withdraw(line))

    def keep_one_bulky(self) -> None:
        """
        There is no room for bulky windows: of those that were called to places that several share,
        one of each pool keeps its own, so that its turn is sure to come. The places of the others
        are for windows that can use them; they ask again when their turn for room has come.
        """
        for lines in list(self._promised.values()):
            while len(lines) > 1:
                self.leave(next(reversed(lines)))

    def take_called(self) -> list[Line]:
        """The lines that have waited and may have a place now: they take turns for a slot."""
        called, self._called = self._called, []
        return called

    def _bounds_of(self, instance: str, connection: str | None) -> list[object]:
        """Whose places it takes one of; what is limited there is known."""
        bounds: list[tuple[object, int | None]] = [(instance, self._limit_of(instance, connection))]
        if self._pool_of is not None and (pool := self._pool_of(instance, connection)) is not None:
            bounds.append(pool)
        for of, limit in bounds:
            self._bounds.setdefault(of, _Bound()).limit = limit
        return [of for of, _ in bounds]

    def _withdraw(self, line: Line) -> object:
        """What a line was promised, if it was, is not promised any more."""
        of = self._asked.pop(line, None)
        if of is not None:
            self._bounds[of].called.discard(line)
            if (promised := self._promised.get(of)) is not None:
                promised.pop(line, None)
                if not promised:
                    del self._promised[of]
        return of

    def _call(self, of: object) -> None:
        """As many lines as there are places for; of one that nobody asks for nothing is kept."""
        if (bound := self._bounds.get(of)) is None:
            return
        while bound.waiting and bound.has_room():
            line = next(iter(bound.waiting))
            del bound.waiting[line]
            bound.called.add(line)
            self._called.append(line)
            if line[0] == BULKY and of != line[1]:
                self._promised.setdefault(of, {})[line] = None
        if bound.is_idle():
            del self._bounds[of]
