"""
Of which partitions the messages go to the spool now, and not to Redis.

Those of one server are away together. Of a cluster those of a master that goes are, and the others
stay online. All that are away come back together, when the spool is empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Protocol

from shared.keys import Keys
from shared.model import Message
from shared.pipe import Pipe


class State(Enum):
    """Where a message goes now."""

    ONLINE = "online"
    """
    To Redis. The first that fails for an outage's sake begins SPOOLING; it and all that were on
    their way are spooled, under the same message ids.
    """

    SPOOLING = "spooling"
    """
    Into the spool, and Redis is not asked: what came first goes first. About twice a second Redis
    is probed. Once it takes writes, the backlog is replayed, and new messages queue behind it.
    """

    CLOSING = "closing"
    """
    Little is left. New messages wait, for a second at most, until it is in Redis; then ONLINE. If
    it does not get there, they are spooled after all.
    """


class Servers(Protocol):
    """Who has which partitions, as whoever appends has to know."""

    @property
    def all(self) -> frozenset[int]:
        """The numbers of all partitions."""
        ...

    def partition_of(self, message: Message, /) -> int:
        """The number of a message's partition."""
        ...

    def beside(self, partition: int, /) -> frozenset[int]:
        """The partitions of the server that has this one, itself among them."""
        ...


class OneServer:
    """It has all partitions, so that they count as one: number 0."""

    all = frozenset({0})

    def partition_of(self, _message: Message) -> int:
        """The one there is."""
        return 0

    def beside(self, _partition: int) -> frozenset[int]:
        """Itself."""
        return self.all


class Masters:
    """Each has partitions of its own, and another one's at any time: as far as the pipe knows."""

    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self.all = frozenset(range(keys.partitions))
        self._pipe = pipe
        self._keys = keys

    def partition_of(self, message: Message) -> int:
        """The number of a message's partition."""
        return self._keys.of(message.instance, message.user).number

    def beside(self, partition: int) -> frozenset[int]:
        """The partitions of the master that has this one, itself among them."""
        # any key of a partition stands for its slot
        numbers = {self._keys.partition(number).ready: number for number in self.all}
        found = self._pipe.beside(self._keys.partition(partition).ready, list(numbers))
        return frozenset(numbers[key] for key in found)


def servers_of(pipe: Pipe, keys: Keys) -> Servers:
    """Who has the partitions that ``pipe`` leads to."""
    return Masters(pipe, keys) if pipe.is_cluster else OneServer()


class Away:
    """The partitions that are away, and of them those that are about to come back."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._partitions: frozenset[int] = frozenset()
        self._closing: frozenset[int] = frozenset()

    @property
    def state(self) -> State:
        """Of those for which it is not ``ONLINE``."""
        if not self._partitions:
            return State.ONLINE
        return State.CLOSING if self._closing else State.SPOOLING

    @property
    def has_all(self) -> bool:
        """Whether none is left that could go away."""
        return self._partitions == self._servers.all

    def state_of(self, message: Message) -> State:
        """Where it goes now."""
        if not self._partitions:
            return State.ONLINE
        partition = self._servers.partition_of(message)
        if partition not in self._partitions:
            return State.ONLINE
        return State.CLOSING if partition in self._closing else State.SPOOLING

    def begin(self, message: Message | None) -> None:
        """All that a message's server has are away, or (None) all that there are."""
        if message is None:
            self._partitions = self._servers.all
        else:
            self._partitions |= self._servers.beside(self._servers.partition_of(message))

    @contextmanager
    def closing(self) -> Iterator[None]:
        """
        All that are away now come back at its end, or after a failure stay away.

        What goes away meanwhile does in any case.
        """
        self._closing = self._partitions
        try:
            yield
            self._partitions -= self._closing
        finally:
            self._closing = frozenset()
