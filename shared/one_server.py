"""
What commands may name together, and where those go that name no key: on one server.

A cluster's pipe answers the same questions in its own way. Whoever asks of many partitions at once,
or for what is a server's own (its time, its memory), asks here and need not know which it has.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any


class OneServer(ABC):
    """All keys are on one server, and in one slot."""

    @abstractmethod
    async def call(self, *command: Any) -> Any:
        """Run one command."""

    def together(self, keys: Sequence[str]) -> list[Sequence[str]]:
        """``keys``, parted into those that one command may name: here all, in a cluster by slot."""
        return [keys] if keys else []

    async def call_at(self, key: str, *command: Any) -> Any:  # noqa: ARG002 - a cluster needs it
        """
        ``call`` what names no key on the server that has ``key``.

        Raises:
            what ``call`` raises.
        """
        return await self.call(*command)

    async def call_everywhere(self, *command: Any) -> list[Any]:
        """
        ``call`` what names no key on every server that takes writes; the answer of each.

        Raises:
            what ``call`` raises, of the first that fails.
        """
        return [await self.call(*command)]
