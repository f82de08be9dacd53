"""When a user's next window closes, for who asks: what the cut does, without its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.model import Entry
from shared.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What shapes an instance's windows; ``quiet_ms`` 0 is off."""

    max_wait_ms: int
    max_messages: int
    quiet_ms: int
    pass_through: bool


def waits_of(settings: Settings, instance: str, connection: str | None) -> Waits:
    """The settings of now; a window that was opened under others may end otherwise."""
    own = settings.instance(instance, connection)
    return Waits(
        max_wait_ms=own.max_wait_ms or settings.max_wait_ms,
        max_messages=own.max_messages or settings.max_messages,
        quiet_ms=settings.quiet_ms if own.quiet_ms is None else own.quiet_ms,
        pass_through=(own.mode or settings.mode) == "pass_through",
    )


def next_window(entries: Sequence[Entry], waits: Waits) -> tuple[int, int]:
    """
    How many of a user's entries the next window has so far, and when it is due, in Redis's ms.

    ``entries``: not in hand, in stream order, not empty.
    """
    first = entries[0]
    if first.replayed is not None or waits.pass_through:
        return 1, first.id.ms
    limit_ms = due_ms = first.id.ms + waits.max_wait_ms
    for size, entry in enumerate(entries):
        if size and entry.id.ms >= due_ms:
            return size, due_ms
        if size and entry.replayed is not None:
            return size, entry.id.ms
        if size + 1 == waits.max_messages:
            return size + 1, entry.id.ms
        due_ms = min(limit_ms, entry.id.ms + (waits.quiet_ms or waits.max_wait_ms))
    return len(entries), due_ms
