"""
What is unfinished in one partition, at a cost that follows its active streams.

``ready`` names the streams with unread entries. A read that takes one out of it enters the
stream into ``pending``, in the same script, whoever appended; a look that finds it empty takes it
out again. So whatever holds entries is named by one of the two, also after a crash at any step.

Two kinds of streams are not: those that were read by a process which knows no ``pending`` yet, and
those that somebody adds to without saying so. A first look is therefore at all streams, each later
one also at a few of the others in turn, and what they find is looked at until it is empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.connect import Pipe
from shared.keys import PartitionKeys
from shared.scripts import load_script

STREAMS_PER_CALL = 500
"""Redis answers nobody else during a script: 500 streams take it about a millisecond."""

OTHERS_PER_LOOK = 100
"""Streams that nothing names, looked at in turn: where there are no more, all of them each time."""


class Unfinished:
    """One partition, as one who looks again and again knows it."""

    def __init__(self, pipe: Pipe, keys: PartitionKeys) -> None:
        self._pipe = pipe
        self.keys = keys
        self._quiet: bytes | None = None
        self._cursor: int | None = None
        self._found: set[str] = set()

    async def count(self, bell: bytes) -> tuple[int, int | None]:
        """
        How many entries, and when the oldest came (Redis's ms). ``bell``: the last ring's id, asked
        for before.

        Where nothing was named and nothing found, nothing is asked until the bell rings: an append
        rings it when ``ready`` is empty.
        """
        if self._quiet == bell:
            return 0, None
        self._quiet = None
        named, (cursor, others) = await asyncio.gather(self._named(), self._others())
        instances = [*named, *sorted({*others, *self._found}.difference(named))]
        pages = await asyncio.gather(
            *(
                self._look(named[at : at + STREAMS_PER_CALL], instances[at : at + STREAMS_PER_CALL])
                for at in range(0, len(instances), STREAMS_PER_CALL)
            )
        )
        messages = sum(total for total, _, _ in pages)
        self._cursor, self._found = cursor, {name for _, _, found in pages for name in found}
        self._quiet = None if named or messages else bell
        return messages, min((oldest for _, oldest, _ in pages if oldest >= 0), default=None)

    async def _named(self) -> list[str]:
        """In one instant: between two questions a stream could go from one set to the other."""
        names = await self._pipe.call("ZUNION", 2, self.keys.ready, self.keys.pending)
        return [name.decode() for name in names]

    async def _others(self) -> tuple[int, list[str]]:
        """All that have a stream here, then some of them in turn; and where to go on."""
        streams, at = self.keys.streams, self._cursor
        if at is None:
            cursor, names = 0, await self._pipe.call("SMEMBERS", streams)
        else:
            cursor, names = await self._pipe.call("SSCAN", streams, at, "COUNT", OTHERS_PER_LOOK)
        return int(cursor), [name.decode() for name in names]

    async def _look(
        self, named: Sequence[str], instances: Sequence[str]
    ) -> tuple[int, int, list[str]]:
        """Of ``instances``, which begin with ``named``; those of the rest that hold something."""
        p = self.keys
        keys = (p.pending, *map(p.stream, instances))
        total, oldest, found = await self._pipe.script(load_script("survey"), keys, named)
        return total, oldest, [instances[number - 1] for number in found]
