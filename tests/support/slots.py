"""The handler slots of a worker, without handlers: windows that may start, and whose turn it is."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from consumer.places import Places
from consumer.startable import Startable
from consumer.turns import Turns


@dataclass(eq=False)
class Fake:
    """A conversation whose window may start; ``number`` is the one that it was put in with."""

    instance: str
    number: int = 0
    partition: int = 0
    connection: str | None = None
    orphaned: bool = False
    window_bytes: int = 10


class Slots:
    """Windows are put in, taken and ended by number, as the dispatcher does it."""

    def __init__(self, places: Places | None = None) -> None:
        self.fakes: list[Fake] = []
        self.queues: defaultdict[int, Startable[Fake]] = defaultdict(Startable)
        self.turns: Turns[Fake] = Turns(self.queues.get, places)

    def add(self, partition: int, *instances: str, connection: str | None = None) -> None:
        """Windows of these instances are closed."""
        for instance in instances:
            self.put(partition, Fake(instance, connection=connection))

    def put(self, partition: int, one: Fake) -> None:
        """A window is closed."""
        one.number, one.partition = len(self.fakes), partition
        self.fakes.append(one)
        queues = self.queues[partition]
        queues.add(one)
        self.turns.join(partition, queues.take_offers())

    def take(self, limit: int, room_bytes: int = 1, *, orphan: bool = False) -> list[int]:
        """Those that get a slot now."""
        taken = self.turns.take(limit, room_bytes, orphan=orphan)
        for partition, one in taken:
            assert one.partition == partition
        return [one.number for _, one in taken]

    def end(self, number: int) -> None:
        """A window has ended."""
        self.turns.give_back(self.fakes[number].instance, self.fakes[number].connection)

    def lose(self, partition: int) -> None:
        """A partition is another worker's."""
        del self.queues[partition]
