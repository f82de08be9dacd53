"""
Windows given up, kept whole: list them, look at one, hand it over again, throw it away.

A letter stays where its conversation is, so its id is the partition and the entry's id there:
``3:1760000000000-0``. Nothing here depends on a worker; replayed windows wait in their stream.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.connect import Pipe
from shared.errors import EntryUndecodable
from shared.keys import GROUP, Keys
from shared.model import EntryId
from shared.placed import PlacedId
from shared.scripts import load_script
from shared.wire import DeadLetter, decode_dead_letter, encode_replay

PAGE_LETTERS = 8
"""How many letters of a partition are fetched at once: each may hold media of megabytes."""


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
    def obstacle(self) -> str | None:
        """Why it cannot be handed over again, or None."""
        if self.letter is None:
            return "the dead letter itself cannot be read"
        if self.letter.window is None:
            return "it is an entry that could not be decoded, so there is no window to hand over"
        return None


class ReplayCode(StrEnum):
    """
    What became of a replay.

    GONE is also the answer to a call whose answer was lost: the window was handed over then.
    """

    REPLAYED = "replayed"
    GONE = "gone"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """``entry`` carries the window now (REPLAYED); ``obstacle`` says why not (IMPOSSIBLE)."""

    code: ReplayCode
    entry: EntryId | None = None
    obstacle: str | None = None


class DeadLetters:
    """
    The dead letters of all partitions.

    Every method may raise ``BrokerUnavailable`` (no answer) or ``BrokerRefused``; each may be
    called again then, with the same arguments, and does nothing twice.
    """

    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys

    async def newest(self, limit: int) -> list[KeptLetter]:
        """The newest ``limit`` letters of all partitions, newest first."""
        letters: list[KeptLetter] = []
        if limit > 0:
            async for letter in self.newest_first():
                letters.append(letter)
                if len(letters) == limit:
                    break
        return letters

    async def newest_first(self) -> AsyncIterator[KeptLetter]:
        """Every letter, page by page; one that comes meanwhile may be missed."""
        pages = [_Pages(self._pipe, self._keys, n) for n in range(self._keys.partitions)]
        await asyncio.gather(*(page.fill() for page in pages))
        heap = [(_newest(page.letters[0].id), page) for page in pages if page.letters]
        heapq.heapify(heap)
        while heap:
            _, page = heapq.heappop(heap)
            yield page.letters.popleft()
            await page.fill()
            if page.letters:
                heapq.heappush(heap, (_newest(page.letters[0].id), page))

    async def ids(self) -> list[LetterId]:
        """The ids of all letters that there are now, oldest first: the order of a replay."""
        return sorted([letter.id async for letter in self.newest_first()])

    async def show(self, letter_id: LetterId) -> KeptLetter | None:
        """One letter whole; None when it is not there (any more)."""
        if letter_id.partition >= self._keys.partitions:
            return None
        dead = self._keys.partition(letter_id.partition).dead
        at = str(letter_id.entry)
        rows = await self._pipe.call("XRANGE", dead, at, at)
        return _kept_letter(letter_id.partition, rows[0]) if rows else None

    async def replay(self, letter_id: LetterId) -> Replayed:
        """
        Hand the window over again: its old id, every message, a fresh count of attempts.

        The letter goes with the same script, so nobody hands it over a second time. Windows of
        one user keep their order if they are replayed oldest first.
        """
        kept = await self.show(letter_id)
        if kept is None:
            return Replayed(code=ReplayCode.GONE)
        window = kept.letter.window if kept.letter is not None else None
        if window is None:
            return Replayed(code=ReplayCode.IMPOSSIBLE, obstacle=kept.obstacle)
        p = self._keys.partition(letter_id.partition)
        entry = await self._pipe.script(
            load_script("replay"),
            (p.dead, p.stream(window.instance), p.streams, p.ready, p.bell),
            (
                str(letter_id.entry),
                window.instance,
                encode_replay(window),
                GROUP,
            ),
        )
        if entry is None:
            return Replayed(code=ReplayCode.GONE)
        return Replayed(code=ReplayCode.REPLAYED, entry=EntryId.parse(entry))

    async def discard(self, letter_id: LetterId) -> bool:
        """Delete a letter for ever. False: it is not there (any more)."""
        if letter_id.partition >= self._keys.partitions:
            return False
        dead = self._keys.partition(letter_id.partition).dead
        return bool(await self._pipe.call("XDEL", dead, str(letter_id.entry)))


class _Pages:
    """One partition's letters, newest first; a page is fetched when the last one is used up."""

    def __init__(self, pipe: Pipe, keys: Keys, partition: int) -> None:
        self.letters: deque[KeptLetter] = deque()
        self._pipe = pipe
        self._dead = keys.partition(partition).dead
        self._partition = partition
        self._before = "+"

    def __lt__(self, other: _Pages) -> bool:
        return self._partition < other._partition

    async def fill(self) -> None:
        """Have a letter in hand if there is one."""
        if self.letters or not self._before:
            return
        command = ("XREVRANGE", self._dead, self._before, "-", "COUNT", PAGE_LETTERS)
        rows = await self._pipe.call(*command)
        self.letters.extend(_kept_letter(self._partition, row) for row in rows)
        is_last = len(rows) < PAGE_LETTERS
        self._before = "" if is_last else f"({self.letters[-1].id.entry}"


def _newest(letter_id: LetterId) -> tuple[int, int]:
    """For a heap whose smallest is to be the newest."""
    return (-letter_id.entry.ms, -letter_id.entry.seq)


def _kept_letter(partition: int, row: list[Any]) -> KeptLetter:
    entry_id, values = row
    raw: bytes = values[1] if len(values) == 2 else b" ".join(values)
    try:
        letter = decode_dead_letter(raw)
    except EntryUndecodable:
        letter = None
    return KeptLetter(id=LetterId(EntryId.parse(entry_id), partition), letter=letter, raw=raw)
