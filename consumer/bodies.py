"""
How much of what users wrote a worker holds in memory, and where the rest is.

Cutting and starting need of an entry only its id, whose it is, and what it matched when it was
read. So beyond a budget an owner keeps entries *bare*: what the user wrote stays in the stream,
where it stands anyway until the window is finished, and is fetched when the window starts. Reading,
watermark and order know nothing of it: neither a flood nor an open window of huge entries ever
stops a read.

A worker's memory is then bounded by what ``HELD_BYTES`` and ``HAND_BYTES`` say, by one answer of
Redis (``PAGE_BYTES``), and by some 400 bytes for each bare entry: at most ``READ_AHEAD`` per
stream that are closed or in hand, and whatever its users sent within ``max_wait_ms``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Protocol

from msgspec.structs import replace

from consumer.answers import RawEntry
from shared.errors import EntryUndecodable
from shared.model import Entry, EntryId, Message, Window
from shared.wire import decode_entry

HELD_BYTES = 128 * 1024 * 1024
"""
Of all entries that a worker has read and not started, with ``ENTRY_COST_BYTES`` each. Partitions
have equal shares, for a worker may own them all: 85,000 short messages.
"""

ENTRY_COST_BYTES = 1000
"""What a decoded message takes in memory beyond the texts in it; measured."""

HAND_BYTES = 32 * 1024 * 1024
"""
Of bulky windows that handlers have at once: a call holds what it sends up to four times. Others
go by the number of slots alone, so that nobody's photographs keep a short message waiting.
"""

BULKY_BYTES = 32 * 1024
"""From here a window is bulky: 256 slots of smaller ones are 8 MiB."""


class EntryStore(Protocol):
    """Where the bodies are."""

    async def entries(self, wanted: Sequence[tuple[str, EntryId]]) -> list[RawEntry | None]:
        """Each entry of an instance's stream that is wanted; None: it is not there."""
        ...


def entry_cost_bytes(entry: Entry) -> int:
    """What holding this one takes of the budget; nothing, if it is bare."""
    return 0 if entry.is_bare else entry.size_bytes + ENTRY_COST_BYTES


def cost_bytes(entries: Iterable[Entry]) -> int:
    """What holding these takes of the budget."""
    return sum([0 if e.is_bare else e.size_bytes + ENTRY_COST_BYTES for e in entries])


def size_bytes(entries: Iterable[Entry]) -> int:
    """What these take in the stream, bare or not."""
    return sum([entry.size_bytes for entry in entries])


def strip(entry: Entry, neighbour: Entry | None = None) -> Entry:
    """
    The entry, bare. A bare ``neighbour`` of the same user lends its message, to save memory.

    Of a replay the window's id and times stay, and how many messages it holds.
    """
    if entry.is_bare:
        return entry
    whose = entry.message
    connection = whose.connection
    if neighbour is not None and neighbour.is_bare and neighbour.message.connection == connection:
        message = neighbour.message
    else:
        message = Message(
            instance=whose.instance,
            user=whose.user,
            message_id="",
            received_at=0,
            connection=connection,
        )
    replayed = entry.replayed
    if replayed is not None:
        members = tuple(Entry(id=e.id, message=message, is_bare=True) for e in replayed.entries)
        replayed = replace(replayed, entries=members)
    return Entry(
        id=entry.id,
        message=message,
        replayed=replayed,
        size_bytes=entry.size_bytes,
        is_bare=True,
        matched=entry.matched,
    )


def is_bare(window: Window) -> bool:
    """Whether something of the window is only in its stream."""
    return any(entry.is_bare for entry in window.entries)


class Absent(Enum):
    """What of a window is not in its stream any more. ``ALL``: as a rule it is finished."""

    SOME = "some"
    ALL = "all"


async def load_windows(store: EntryStore, windows: Sequence[Window]) -> list[Window | Absent]:
    """
    Windows with everything that their users wrote, or what of it is not there any more.

    Raises:
        BrokerUnavailable, BrokerRefused: nothing was found out.
    """
    wanted = [(w.instance, entry.id) for w in windows for entry in w.entries if entry.is_bare]
    rows = iter(await store.entries(wanted))
    return [_filled(window, rows) for window in windows]


def _filled(window: Window, rows: Iterator[RawEntry | None]) -> Window | Absent:
    """The window with the next of ``rows`` in the place of each bare entry; all are taken."""
    taken = [next(rows) for entry in window.entries if entry.is_bare]
    try:
        found = [decode_entry(window.instance, *row) for row in taken if row is not None]
    except EntryUndecodable:
        return Absent.SOME
    if len(found) < len(taken):
        return Absent.SOME if found else Absent.ALL
    left = iter(found)
    return replace(window, entries=tuple([next(left) if e.is_bare else e for e in window.entries]))
