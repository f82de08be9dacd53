"""The windows of one partition that wait for a handler slot, in the order they came up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Generic, Protocol, TypeVar

from consumer.bodies import BULKY_BYTES
from consumer.places import Places


class Waiting(Protocol):
    """What the queues must know of a conversation whose window may start."""

    @property
    def instance(self) -> str:
        """Whose places it needs one of."""
        ...

    @property
    def connection(self) -> str | None:
        """What its messages came through."""
        ...

    @property
    def orphaned(self) -> bool:
        """It died with its worker, and no other such window may run beside it."""
        ...

    @property
    def window_bytes(self) -> int:
        """What its window takes in the stream."""
        ...


W = TypeVar("W", bound=Waiting)


class Queue(Generic[W]):
    """Windows in the order of their numbers: new ones come behind all, others where they were."""

    def __init__(self) -> None:
        self._new: deque[tuple[int, W]] = deque()
        self._again: list[tuple[int, W]] = []

    def __len__(self) -> int:
        return len(self._new) + len(self._again)

    def __iter__(self) -> Iterator[W]:
        return (waiting for _, waiting in (*self._again, *self._new))

    def add(self, number: int, waiting: W) -> None:
        """With a number above all others."""
        self._new.append((number, waiting))

    def add_again(self, number: int, waiting: W) -> None:
        """With the number that it had."""
        heappush(self._again, (number, waiting))

    def pop(self) -> tuple[int, W]:
        """The first; there is one."""
        if self._again and not (self._new and self._new[0][0] < self._again[0][0]):
            return heappop(self._again)
        return self._new.popleft()


class Startable(Generic[W]):
    """
    Three queues: orphans one at a time, bulky windows as far as there is room, the others.

    Windows of instances that have no place left are parked beside them, and go back to where they
    were when there is one: nobody passes an older window of the same instance and kind for that,
    and no other instance's either.
    """

    def __init__(self) -> None:
        self._orphans: Queue[W] = Queue()
        self._bulky: Queue[W] = Queue()
        self._others: Queue[W] = Queue()
        self._parked: dict[str, list[tuple[int, W]]] = {}
        self._number = 0
        self._is_bulky_turn = False

    def __len__(self) -> int:
        """How many wait for nothing but a slot: without those that are parked."""
        return len(self._orphans) + len(self._bulky) + len(self._others)

    def add(self, waiting: W) -> None:
        """Behind those of its kind."""
        self._number += 1
        parked = self._parked.get(waiting.instance) if self._parked else None
        if parked is not None:
            heappush(parked, (self._number, waiting))
        else:
            self._queue_of(waiting).add(self._number, waiting)

    def take(
        self, limit: int, room_bytes: int, *, orphan: bool, places: Places | None = None
    ) -> list[W]:
        """
        Up to ``limit``; with ``orphan`` one of those among them. Each has taken its place.

        Bulky ones come while ``room_bytes`` are not used up, so that one always does where there
        is room at all, and by turns with the others: neither kind waits for the end of the other.
        """
        if places is not None and self._parked:
            self._unpark(places)
        taken: list[W] = []
        if orphan and self._orphans and limit > 0:
            self._admit(self._orphans, taken, places)
        while len(taken) < limit:
            may_be_bulky = bool(self._bulky) and room_bytes > 0
            if may_be_bulky and (self._is_bulky_turn or not self._others):
                if self._admit(self._bulky, taken, places):
                    room_bytes -= taken[-1].window_bytes
                    self._is_bulky_turn = False
            elif self._others:
                if self._admit(self._others, taken, places):
                    self._is_bulky_turn = True
            else:
                break
        return taken

    def _queue_of(self, waiting: W) -> Queue[W]:
        if waiting.orphaned:
            return self._orphans
        return self._bulky if waiting.window_bytes > BULKY_BYTES else self._others

    def _admit(self, queue: Queue[W], taken: list[W], places: Places | None) -> bool:
        """The first of a queue is taken, or parked where there is no place for it yet."""
        number, waiting = queue.pop()
        if places is None:
            taken.append(waiting)
            return True
        instance = waiting.instance
        parked = self._parked.get(instance)
        is_next = parked is None or number < parked[0][0]
        if is_next and places.take(instance, waiting.connection):
            taken.append(waiting)
            return True
        heappush(self._parked.setdefault(instance, []), (number, waiting))
        return False

    def _unpark(self, places: Places) -> None:
        """As many go back as have a place now; one is taken when its turn has come."""
        for instance, parked in list(self._parked.items()):
            room = places.room(instance, parked[0][1].connection)
            for _ in range(len(parked) if room is None else min(room, len(parked))):
                number, waiting = heappop(parked)
                self._queue_of(waiting).add_again(number, waiting)
            if parked:
                places.refuse(instance, parked[0][1].connection)
            else:
                del self._parked[instance]
