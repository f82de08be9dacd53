"""What dispatching and sending need of the partition that a window or a reply belongs to."""

from __future__ import annotations

from typing import Protocol

from consumer.memory import Memory
from consumer.store import PartitionStore


class Owner(Protocol):
    """A partition whose lease is, or was, ours."""

    @property
    def number(self) -> int:
        """Which partition."""
        ...

    @property
    def epoch(self) -> int:
        """The epoch under which everything is fenced."""
        ...

    @property
    def memory(self) -> Memory:
        """What is known of it; another object after each takeover."""
        ...

    @property
    def store(self) -> PartitionStore:
        """Its scripts."""
        ...

    def is_trusted(self) -> bool:
        """Whether windows and sends may begin: the memory is whole and the lease holds."""
        ...

    def wake(self) -> None:
        """Turn soon: something may start."""
        ...

    def load_replies(self) -> None:
        """Turn soon: a reply was put into the outbox."""
        ...

    def restart(self, reason: str) -> None:
        """Forget the memory and rebuild it from the stream."""
        ...

    def step_down(self) -> None:
        """The lease is not ours any more."""
        ...
