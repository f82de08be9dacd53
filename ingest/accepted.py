"""What becomes of messages that were handed to the store, and who takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from shared.model import Message


class Accepted(Struct, frozen=True, kw_only=True):
    """
    A message that is kept: in Redis at the configured durability, or in the spool on disk.
    Answers to its sender have these fields.

    ``entry_id`` is None while it is ``spooled``. A ``duplicate`` was kept before; its
    ``entry_id`` is the first one's.
    """

    message_id: str
    entry_id: str | None
    duplicate: bool
    spooled: bool


class Appender(Protocol):
    """Keeps messages. Safe to call again with the same message ids."""

    async def append(self, messages: Sequence[Message]) -> list[Accepted]:
        """
        Keep all ``messages``; the answers are in their order.

        Raises:
            BrokerUnavailable, BrokerRefused: not all of them are kept; answer 503, so that the
                sender sends all of them again.
        """
        ...
