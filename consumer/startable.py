"""The windows of one partition that wait for a handler slot: by kind, by instance, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from consumer.bodies import BULKY_BYTES
from consumer.places import BULKY, KINDS, ORPHANS, OTHERS, Line


class Waiting(Protocol):
    """What the queues must know of a conversation whose window may start."""

    @property
    def instance(self) -> str:
        """Whose turn it needs, and whose place."""
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
    One queue for each kind and instance. Who gives slots away asks for the ``offers``: the lines
    that have come up since it was last told, which it then knows of until it finds them empty.
    """

    def __init__(self) -> None:
        self._queues: tuple[dict[str, deque[W]], ...] = ({}, {}, {})
        self._offers: list[Line] = []
        self._count = 0

    def __len__(self) -> int:
        """How many wait, for a slot or for a place."""
        return self._count

    def add(self, waiting: W) -> None:
        """Behind those of its kind and instance: a user has one at a time, so users take turns."""
        if waiting.orphaned:
            kind = ORPHANS
        else:
            kind = BULKY if waiting.window_bytes > BULKY_BYTES else OTHERS
        queues, instance = self._queues[kind], waiting.instance
        queue = queues.get(instance)
        if queue is None:
            queue = queues[instance] = deque()
            self._offers.append((kind, instance))
        queue.append(waiting)
        self._count += 1

    def withdraw(self, is_wanted: Callable[[W], bool]) -> list[W]:
        """Take out what must not start now; of each kind and instance in its order."""
        taken: list[W] = []
        for queues in self._queues:
            for instance, queue in list(queues.items()):
                left = deque(waiting for waiting in queue if not is_wanted(waiting))
                if len(left) == len(queue):
                    continue
                taken += [waiting for waiting in queue if is_wanted(waiting)]
                if left:
                    queues[instance] = left
                else:
                    del queues[instance]
        self._count -= len(taken)
        return taken

    def first(self, line: Line) -> W | None:
        """Which window is the next of a line; None: none waits there."""
        queue = self._queues[line[0]].get(line[1])
        return queue[0] if queue is not None else None

    def pop(self, line: Line) -> bool:
        """The first of a line has its slot. True: no other waits there, and the line is gone."""
        queues, instance = self._queues[line[0]], line[1]
        queue = queues[instance]
        queue.popleft()
        self._count -= 1
        if queue:
            return False
        del queues[instance]
        return True

    def take_offers(self) -> list[Line]:
        """The lines to be told of; each once."""
        offers, self._offers = self._offers, []
        return offers

    def offer_all(self) -> None:
        """Who gives slots away could not use some of them then."""
        self._offers = [(kind, name) for kind in KINDS for name in self._queues[kind]]
