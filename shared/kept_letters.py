"""
What a dead letter is while it is kept: its id, what stands in it, and the way through all of them.

A letter stays where its conversation is, so its id is the partition and the entry's id there:
``3:1760000000000-0``.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.errors import EntryUndecodable
from shared.keys import Keys
from shared.masking import mask_text
from shared.model import EntryId
from shared.pipe import Pipe
from shared.placed import PlacedId
from shared.wire import DeadLetter, buried_entry, decode_dead_letter, encode_replay

PAGE_LETTERS = 8
"""How many letters of a partition are fetched at once: each may hold media of megabytes."""

KIND_MAX_CHARS = 80


class LetterId(PlacedId):
    """Where a dead letter is."""

    __slots__ = ()
    what = "a dead letter"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLetter:
    """A dead letter and its id. ``letter`` is None when it cannot be read itself."""

    id: LetterId
    letter: DeadLetter | None
    raw: bytes

    @property
    def entry(self) -> bytes | None:
        """
        What its replay puts into the stream: its window whole, or an entry that another version
        could not decode, as it was; None: it cannot be handed over again.
        """
        if self.letter is None:
            return None
        window = self.letter.window
        return buried_entry(self.letter) if window is None else encode_replay(window)

    @property
    def obstacle(self) -> str | None:
        """Why it cannot be handed over again, or None."""
        if self.letter is None:
            return "the dead letter itself cannot be read"
        if self.letter.window is None and buried_entry(self.letter) is None:
            return "it is an entry that could not be decoded, so there is no window to hand over"
        return None

    @property
    def error_kind(self) -> str | None:
        """What kind of error: behind the colon stands what a handler said, perhaps of a person."""
        if self.letter is None:
            return None
        return mask_text(self.letter.error.partition(":")[0])[:KIND_MAX_CHARS]


async def newest_letters(
    pipe: Pipe, keys: Keys, before: LetterId | None = None
) -> AsyncIterator[KeptLetter]:
    """Those older than ``before``, newest first, page by page; one that comes now may be missed."""
    pages = []
    for number in range(keys.partitions):
        begin = "+"
        if before is not None:
            begin = str(before.entry) if number < before.partition else f"({before.entry}"
        pages.append(_Pages(pipe, keys, number, ("XREVRANGE", begin, "-")))
    async for kept in _merged(pages):
        yield kept


async def oldest_letters(
    pipe: Pipe, keys: Keys, after: LetterId | None, until: LetterId
) -> AsyncIterator[KeptLetter]:
    """Those newer than ``after`` and no newer than ``until``, oldest first, page by page."""
    pages = []
    for number in range(keys.partitions):
        # Ids order by time, and by partition where the times are the same.
        begin, end = "-", str(until.entry) if number <= until.partition else f"({until.entry}"
        if after is not None:
            begin = str(after.entry) if number > after.partition else f"({after.entry}"
        pages.append(_Pages(pipe, keys, number, ("XRANGE", begin, end)))
    async for kept in _merged(pages):
        yield kept


async def newest_letter_id(pipe: Pipe, keys: Keys) -> LetterId | None:
    """Of all that there are now, the last to come; None: there are none."""
    numbers = range(keys.partitions)
    found = await asyncio.gather(
        *(pipe.call("XREVRANGE", keys.partition(n).dead, "+", "-", "COUNT", 1) for n in numbers)
    )
    ids = [LetterId(EntryId.parse(rows[0][0]), n) for n, rows in enumerate(found) if rows]
    return max(ids, default=None)


def kept_letter(partition: int, row: list[Any]) -> KeptLetter:
    """A row of a partition's dead letters, read as far as it can be."""
    entry_id, values = row
    raw: bytes = values[1] if len(values) == 2 else b" ".join(values)
    try:
        letter = decode_dead_letter(raw)
    except EntryUndecodable:
        letter = None
    return KeptLetter(id=LetterId(EntryId.parse(entry_id), partition), letter=letter, raw=raw)


async def _merged(pages: Sequence[_Pages]) -> AsyncIterator[KeptLetter]:
    await asyncio.gather(*(page.fill() for page in pages))
    heap = [(page.turn, page) for page in pages if page.letters]
    heapq.heapify(heap)
    while heap:
        _, page = heapq.heappop(heap)
        yield page.letters.popleft()
        await page.fill()
        if page.letters:
            heapq.heappush(heap, (page.turn, page))


class _Pages:
    """One partition's letters in one direction; a page is fetched when the last one is used up."""

    def __init__(self, pipe: Pipe, keys: Keys, number: int, ask: tuple[str, str, str]) -> None:
        """``ask``: which way Redis is to go, and between which ids."""
        self.letters: deque[KeptLetter] = deque()
        self._pipe = pipe
        self._dead = keys.partition(number).dead
        self._number = number
        self._way, self._begin, self._end = ask

    @property
    def turn(self) -> tuple[int, int, int]:
        """When the next letter's turn is among those of all partitions: the smallest is next."""
        entry = self.letters[0].id.entry
        sign = 1 if self._way == "XRANGE" else -1
        return (sign * entry.ms, sign * entry.seq, sign * self._number)

    async def fill(self) -> None:
        """Have a letter in hand if there is one."""
        if self.letters or not self._begin:
            return
        command = (self._way, self._dead, self._begin, self._end, "COUNT", PAGE_LETTERS)
        rows = await self._pipe.call(*command)
        self.letters.extend(kept_letter(self._number, row) for row in rows)
        is_last = len(rows) < PAGE_LETTERS
        self._begin = "" if is_last else f"({self.letters[-1].id.entry}"
