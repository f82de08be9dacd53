"""The oldest entries of streams, for whoever looks at many of them at once: few round trips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from shared.errors import EntryUndecodable
from shared.keys import PartitionKeys
from shared.model import Entry
from shared.pipe import Pipe
from shared.wire import decode_entry

PAGE = 100
PAGE_BYTES = 1024 * 1024
"""A page is as long as promises to be no larger than this, once some entries have come."""

BYTES_PER_STREAM = 4 * 1024 * 1024
"""After so much of one stream no more of it is asked for."""

ENTRIES_MIN = 8
"""So many are asked for, however large."""


class PageSize:
    """How many entries may be asked for at once, by the size of those that came so far."""

    def __init__(self) -> None:
        self._rows = self._bytes = 0

    @property
    def count(self) -> int:
        """Before any has come, few: each may be large."""
        if not self._rows:
            return ENTRIES_MIN
        return min(PAGE, max(ENTRIES_MIN, PAGE_BYTES * self._rows // max(1, self._bytes)))

    def note(self, rows: Sequence[Any]) -> int:
        """The bytes of what has come."""
        size = sum(len(value) for _, values in rows for value in values)
        self._rows += len(rows)
        self._bytes += size
        return size


async def oldest_entries(
    pipe: Pipe, part: PartitionKeys, instance: str, most: int, page: PageSize
) -> tuple[list[Entry], bool]:
    """
    The oldest entries of a stream, about ``most`` of them, and whether these are all.

    Raises:
        BrokerUnavailable: no answer.
        BrokerRefused: Redis refused to tell.
    """
    found: list[Entry] = []
    start, rows_seen, bytes_seen = "-", 0, 0
    while rows_seen < most and bytes_seen < BYTES_PER_STREAM:
        count = min(page.count, most)
        rows: list[Any] = await pipe.call(
            "XRANGE", part.stream(instance), start, "+", "COUNT", count
        )
        found += _decoded(instance, rows)
        bytes_seen += page.note(rows)
        if len(rows) < count:
            return found, True
        rows_seen += len(rows)
        start = f"({rows[-1][0].decode()}"
    return found, False


def _decoded(instance: str, rows: Sequence[Any]) -> Iterator[Entry]:
    for row_id, values in rows:
        try:
            yield decode_entry(instance, row_id, values)
        except EntryUndecodable:
            continue  # its owner makes a dead letter of it
