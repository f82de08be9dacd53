"""The windows of one partition that wait for a handler slot, in the order they came up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
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


class Startable(Generic[W]):
    """
    Three queues: orphans one at a time, bulky windows as far as there is room, the others.

    Windows of instances that have no place left are parked beside them, each instance's in their
    order, and are looked at again when it has.
    """

    def __init__(self) -> None:
        self._orphans: deque[W] = deque()
        self._bulky: deque[W] = deque()
        self._others: deque[W] = deque()
        self._parked: dict[str, deque[W]] = {}
        self._is_bulky_turn = False

    def __len__(self) -> int:
        """How many wait for nothing but a slot: without those that are parked."""
        return len(self._orphans) + len(self._bulky) + len(self._others)

    def add(self, waiting: W) -> None:
        """Behind those of its kind."""
        parked = self._parked.get(waiting.instance) if self._parked else None
        if parked is not None:
            parked.append(waiting)
        else:
            self._queue_of(waiting).append(waiting)

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
        refused: list[W] = []

        def admit(waiting: W) -> bool:
            if places is None or places.take(waiting.instance, waiting.connection):
                taken.append(waiting)
                return True
            refused.append(waiting)
            return False

        if orphan and self._orphans and limit > 0:
            admit(self._orphans.popleft())
        while len(taken) < limit:
            may_be_bulky = bool(self._bulky) and room_bytes > 0
            if may_be_bulky and (self._is_bulky_turn or not self._others):
                bulky = self._bulky.popleft()
                if admit(bulky):
                    room_bytes -= bulky.window_bytes
                    self._is_bulky_turn = False
            elif self._others:
                if admit(self._others.popleft()):
                    self._is_bulky_turn = True
            else:
                break
        self._park(refused)
        return taken

    def _queue_of(self, waiting: W) -> deque[W]:
        if waiting.orphaned:
            return self._orphans
        return self._bulky if waiting.window_bytes > BULKY_BYTES else self._others

    def _park(self, refused: Iterable[W]) -> None:
        """What was queued came up before what was parked at once."""
        by_instance: dict[str, list[W]] = {}
        for waiting in refused:
            by_instance.setdefault(waiting.instance, []).append(waiting)
        for instance, ones in by_instance.items():
            self._parked.setdefault(instance, deque()).extendleft(reversed(ones))

    def _unpark(self, places: Places) -> None:
        """Put as many as have a place now before all others of their kind."""
        for instance, parked in list(self._parked.items()):
            room = places.room(instance, parked[0].connection)
            count = len(parked) if room is None else min(room, len(parked))
            for waiting in reversed([parked.popleft() for _ in range(count)]):
                self._queue_of(waiting).appendleft(waiting)
            if parked:
                places.refuse(instance)
            else:
                del self._parked[instance]
