"""
Who owned each partition when, by Redis's own clock: MONITOR tells what its scripts wrote.

What polls the leases sees them when it comes to its turn, which on a busy machine is late; this
reads when it happened, whenever it is read. Inside the block it may be behind.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from urllib.parse import urlsplit

LEASE = re.compile(
    rb'\+(\d+\.\d+) \[\d+ lua\] "(?:HSET|DEL)" "[^"]*\{(\d+)\}:lease"(?: "owner" "([^"]*)")?'
)


class LeaseWatch:
    """``changes`` of each partition: Redis's seconds, and who took its lease; nobody: released."""

    def __init__(self) -> None:
        self.changes: defaultdict[int, list[tuple[float, str]]] = defaultdict(list)

    def hear(self, line: bytes) -> None:
        """One line of MONITOR."""
        if (found := LEASE.match(line)) is not None:
            second, number, owner = found.groups()
            self.changes[int(number)].append((float(second), (owner or b"").decode()))

    def handovers_s(self) -> list[float]:
        """From each release of a lease until somebody took it."""
        return [
            taken - released
            for changes in self.changes.values()
            for (released, before), (taken, owner) in pairwise(changes)
            if owner and not before
        ]

    def taken_from_the_living(self) -> list[int]:
        """Partitions that changed their owner without a release: their lease had expired."""
        return [
            number
            for number, changes in self.changes.items()
            for (_, before), (_, owner) in pairwise(changes)
            if before and owner and before != owner
        ]


@asynccontextmanager
async def watched_leases(url: str) -> AsyncIterator[LeaseWatch]:
    """What becomes of the leases during the block, of a Redis behind a Unix socket."""
    reader, writer = await asyncio.open_unix_connection(urlsplit(url).path)
    writer.write(b"MONITOR\r\n")
    assert await reader.readline() == b"+OK\r\n"
    watch = LeaseWatch()

    async def listen() -> None:
        async for line in reader:
            watch.hear(line)

    listening = asyncio.create_task(listen())
    try:
        yield watch
        writer.write(b"QUIT\r\n")  # what was written until now has been heard when it hangs up
        async with asyncio.timeout(10):
            await listening
    finally:
        listening.cancel()
        writer.close()
