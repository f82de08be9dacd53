"""The windows of one partition that wait for a handler slot, in the order they came up."""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

from consumer.bodies import BULKY_BYTES


class Waiting(Protocol):
    """What the queues must know of a conversation whose window may start."""

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
    """Three queues: orphans one at a time, bulky windows as far as there is room, the others."""

    def __init__(self) -> None:
        self._orphans: deque[W] = deque()
        self._bulky: deque[W] = deque()
        self._others: deque[W] = deque()
        self._is_bulky_turn = False

    def __len__(self) -> int:
        return len(self._orphans) + len(self._bulky) + len(self._others)

    def add(self, waiting: W) -> None:
        """Behind those of its kind."""
        if waiting.orphaned:
            self._orphans.append(waiting)
        elif waiting.window_bytes > BULKY_BYTES:
            self._bulky.append(waiting)
        else:
            self._others.append(waiting)

    def take(self, limit: int, room_bytes: int, *, orphan: bool) -> list[W]:
        """
        Up to ``limit``; with ``orphan`` one of those among them.

        Bulky ones come while ``room_bytes`` are not used up, so that one always does where there
        is room at all, and by turns with the others: neither kind waits for the end of the other.
        """
        taken: list[W] = []
        if orphan and self._orphans and limit > 0:
            taken.append(self._orphans.popleft())
        while len(taken) < limit:
            may_be_bulky = bool(self._bulky) and room_bytes > 0
            if may_be_bulky and (self._is_bulky_turn or not self._others):
                bulky = self._bulky.popleft()
                room_bytes -= bulky.window_bytes
                taken.append(bulky)
                self._is_bulky_turn = False
            elif self._others:
                taken.append(self._others.popleft())
                self._is_bulky_turn = True
            else:
                break
        return taken
