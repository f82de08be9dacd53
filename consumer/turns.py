"""
Whose window gets the next handler slot: instances take turns, over all partitions of a worker.

Between an instance and the slot that is free stands at most one window of each other instance,
however many those have. Within an instance its partitions take turns, and in a partition its
users, for each has one window at a time. To choose one costs the same, whoever waits.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic

from consumer.places import BULKY, KINDS, ORPHANS, OTHERS, Line, Places
from consumer.startable import Startable, W

OWN_TURN = 4
"""
So often an instance's turn goes to the partition of its own that has waited longest; else to the
one that others are served from just then, for what starts in one partition is one script's call.
"""


@dataclass(slots=True, eq=False)
class _Waiter:
    """
    A line, and the partitions where windows of it wait, as they were last served.

    ``number`` is the one that it was served from in round ``round``; ``rounds`` counts them.
    """

    line: Line
    numbers: OrderedDict[int, None] = field(default_factory=OrderedDict)
    number: int = -1
    round: int = 0
    rounds: int = 0


class Turns(Generic[W]):
    """
    Three rings, one for each kind: orphans one at a time, bulky windows as far as there is room,
    and the others. Who has no place stands beside them until it is called. While an orphan does no
    other one is begun, or it would keep its place unused once called, until that one has ended.

    ``queues_of`` gives the windows of a partition that may start; None: none may at the moment,
    and its lines are dropped. Nothing of it outlives the worker.
    """

    def __init__(
        self, queues_of: Callable[[int], Startable[W] | None], places: Places | None = None
    ) -> None:
        self._queues_of = queues_of
        self._places = places
        self._waiters: dict[Line, _Waiter] = {}
        self._rings: tuple[deque[_Waiter], ...] = tuple(deque() for _ in KINDS)
        self._is_bulky_turn = False
        self._orphan_waits = False
        self._round = 0
        self._current = -1
        self._queues: dict[int, Startable[W] | None] = {}

    def __bool__(self) -> bool:
        """Whether anybody waits for a slot alone."""
        return any(self._rings)

    def join(self, number: int, lines: list[Line]) -> None:
        """Windows have come up in a partition: an instance that is new comes last."""
        for line in lines:
            waiter = self._waiters.get(line)
            if waiter is None:
                waiter = self._waiters[line] = _Waiter(line)
                self._rings[line[0]].append(waiter)
            waiter.numbers[number] = None

    def take(self, limit: int, room_bytes: int, *, orphan: bool) -> list[tuple[int, W]]:
        """
        Up to ``limit`` windows, each with its partition; with ``orphan`` one of those among them.
        Each has taken its place.

        Bulky ones come while ``room_bytes`` are not used up, so that one always does where there
        is room at all, and by turns with the others: neither kind waits for the end of the other.
        """
        self._round += 1
        self._current = -1
        self._queues.clear()
        self._call_back(room_bytes)
        taken: list[tuple[int, W]] = []
        orphans, bulky, others = self._rings
        while len(taken) < limit:
            may_be_bulky = bool(bulky) and room_bytes > 0
            if orphan and orphans and not self._orphan_waits:
                orphan = not self._serve(ORPHANS, taken)
            elif may_be_bulky and (self._is_bulky_turn or not others):
                if self._serve(BULKY, taken):
                    room_bytes -= taken[-1][1].window_bytes
                    self._is_bulky_turn = False
                    self._call_back(room_bytes)
            elif others:
                self._is_bulky_turn = self._serve(OTHERS, taken) or self._is_bulky_turn
            else:
                break
        return taken

    def give_back(self, instance: str, connection: str | None) -> None:
        """A window has ended, and its place is free."""
        if self._places is not None:
            self._places.give_back(instance, connection)
            self._call_back()

    def _serve(self, kind: int, taken: list[tuple[int, W]]) -> bool:
        """The next of a ring gets a slot; False: none of it can."""
        ring, places = self._rings[kind], self._places
        while ring:
            waiter = ring[0]
            number = self._partition_of(waiter)
            queues = self._queues_now(number)
            first = queues.first(waiter.line) if queues is not None else None
            if queues is None or first is None:
                self._drop(waiter, number)
            elif places is not None and not places.take(waiter.line, first.connection):
                ring.popleft()
                self._call_back()
                if kind == ORPHANS:
                    self._orphan_waits = True
                    return False
            else:
                is_last = queues.pop(waiter.line)
                if not (is_last and self._drop(waiter, number)):
                    ring.rotate(-1)
                taken.append((number, first))
                return True
        return False

    def _queues_now(self, number: int) -> Startable[W] | None:
        """As it is at the beginning of the round."""
        try:
            return self._queues[number]
        except KeyError:
            queues = self._queues[number] = self._queues_of(number)
            return queues

    def _partition_of(self, waiter: _Waiter) -> int:
        """Where its next window is from; during a round it stays there as long as it can."""
        numbers = waiter.numbers
        if waiter.round == self._round and waiter.number in numbers:
            return waiter.number
        waiter.round, waiter.rounds = self._round, waiter.rounds + 1
        number = next(iter(numbers))
        if self._current < 0:
            self._current = number
        elif waiter.rounds % OWN_TURN and self._current in numbers:
            number = self._current
        numbers.move_to_end(number)
        waiter.number = number
        return number

    def _drop(self, waiter: _Waiter, number: int) -> bool:
        """Nothing of the first of a ring is left in a partition. True: nor in any."""
        del waiter.numbers[number]
        if waiter.numbers:
            return False
        self._rings[waiter.line[0]].popleft()
        del self._waiters[waiter.line]
        if self._places is not None:
            self._places.leave(waiter.line)
            self._call_back()
        return True

    def _call_back(self, room_bytes: int = 1) -> None:
        """Who was called by its places comes last: it has waited for one, and not for a slot."""
        if self._places is not None:
            if room_bytes <= 0:
                self._places.keep_one_bulky()
            for line in self._places.take_called():
                if line[0] == ORPHANS:
                    self._orphan_waits = False
                    self._rings[ORPHANS].appendleft(self._waiters[line])
                else:
                    self._rings[line[0]].append(self._waiters[line])
