"""
Windows given up, kept whole: list them, look at one, hand it over again, throw it away.

Nothing here depends on a worker; replayed windows wait in their stream.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from shared.errors import BrokerRefused, BrokerUnavailable
from shared.kept_letters import (
    KeptLetter,
    LetterId,
    kept_letter,
    newest_letter_id,
    newest_letters,
    oldest_letters,
)
from shared.keys import GROUP, Keys
from shared.model import EntryId
from shared.pipe import Pipe
from shared.scripts import load_script

GONE = "no such dead letter: it was replayed or discarded already"

LOOKED_AT_MAX = 500
"""Letters that one call for a page of them looks at, whether or not they are those meant."""

GROUPED_MAX = 5000
"""Letters that are counted by instance and kind of error, the newest."""

LOOKING_S = 2.0
"""And so long may either take: a person waits for the answer."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """Which letters are meant; None: whatever it is. ``error`` is a kind, as the list tells it."""

    instance: str | None = None
    error: str | None = None

    def covers(self, kept: KeptLetter) -> bool:
        """Whether this is one of them; what cannot be read is of no instance and no error."""
        instance = None if kept.letter is None else kept.letter.instance
        return self.instance in (None, instance) and self.error in (None, kept.error_kind)


EVERY = Meant()


@dataclass(frozen=True, slots=True, kw_only=True)
class LettersPage:
    """Some letters; ``next``: where the look goes on, None: at the end."""

    letters: tuple[KeptLetter, ...]
    next: LetterId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterGroups:
    """How many there are by instance and kind of error, the most first; ``looked_at``: of these."""

    counts: tuple[tuple[Meant, int], ...]
    looked_at: int
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPage:
    """What became of some letters; ``next``: where the replay goes on, None: it is done."""

    outcomes: tuple[tuple[LetterId, Replayed], ...]
    next: LetterId | None


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
            async for letter in newest_letters(self._pipe, self._keys):
                letters.append(letter)
                if len(letters) == limit:
                    break
        return letters

    async def page(self, meant: Meant, before: LetterId | None, limit: int) -> LettersPage:
        """The newest ``limit`` of those meant before ``before``; fewer if they lie far apart."""
        found: list[KeptLetter] = []
        last, is_enough = before, _bound(LOOKED_AT_MAX)
        async for kept in newest_letters(self._pipe, self._keys, before):
            if len(found) == limit or is_enough():
                return LettersPage(letters=tuple(found), next=last)
            last = kept.id
            if meant.covers(kept):
                found.append(kept)
        return LettersPage(letters=tuple(found), next=None)

    async def groups(self) -> LetterGroups:
        """What was given up, and why, by number; what cannot be read is counted in none."""
        counts: Counter[Meant] = Counter()
        looked_at, is_enough = 0, _bound(GROUPED_MAX)
        is_whole = True
        async for kept in newest_letters(self._pipe, self._keys):
            if is_enough():
                is_whole = False
                break
            looked_at += 1
            if kept.letter is not None:
                counts[Meant(instance=kept.letter.instance, error=kept.error_kind)] += 1
        found = tuple(counts.most_common())
        return LetterGroups(counts=found, looked_at=looked_at, is_whole=is_whole)

    async def newest_id(self) -> LetterId | None:
        """What bounds a replay of all that there are now; None: there are none."""
        return await newest_letter_id(self._pipe, self._keys)

    async def replay_page(
        self, meant: Meant, until: LetterId, after: LetterId | None = None
    ) -> ReplayPage:
        """
        Replay some of those meant that came after ``after`` and not after ``until``, oldest first.

        Call it with ``next`` until that is None. Whoever begins again, or does it beside another,
        hands nothing over twice: a letter goes with its replay. What is given up anew meanwhile
        is newer than ``until`` and stays. A failure behind what is done ends the page there.

        Raises:
            BrokerUnavailable, BrokerRefused: nothing of this page was told to be done; go on
                from the same ``after``.
        """
        outcomes: list[tuple[LetterId, Replayed]] = []
        last, is_enough = after, _bound(LOOKED_AT_MAX)
        try:
            async for kept in oldest_letters(self._pipe, self._keys, after, until):
                if is_enough():
                    return ReplayPage(outcomes=tuple(outcomes), next=last)
                if meant.covers(kept):
                    outcomes.append((kept.id, await self._hand_over(kept)))
                last = kept.id
        except (BrokerUnavailable, BrokerRefused):
            if last == after:
                raise
            return ReplayPage(outcomes=tuple(outcomes), next=last)
        return ReplayPage(outcomes=tuple(outcomes), next=None)

    async def show(self, letter_id: LetterId) -> KeptLetter | None:
        """One letter whole; None when it is not there (any more)."""
        if letter_id.partition >= self._keys.partitions:
            return None
        dead = self._keys.partition(letter_id.partition).dead
        at = str(letter_id.entry)
        rows = await self._pipe.call("XRANGE", dead, at, at)
        return kept_letter(letter_id.partition, rows[0]) if rows else None

    async def replay(self, letter_id: LetterId) -> Replayed:
        """
        Hand the window over again: its old id, every message, a fresh count of attempts. An entry
        that had none, for another version could not decode it, is read like one that has just come.

        The letter goes with the same script, so nobody hands it over a second time. Windows of
        one user keep their order if they are replayed oldest first.
        """
        kept = await self.show(letter_id)
        return Replayed(code=ReplayCode.GONE) if kept is None else await self._hand_over(kept)

    async def discard(self, letter_id: LetterId) -> bool:
        """Delete a letter for ever. False: it is not there (any more)."""
        if letter_id.partition >= self._keys.partitions:
            return False
        dead = self._keys.partition(letter_id.partition).dead
        return bool(await self._pipe.call("XDEL", dead, str(letter_id.entry)))

    async def _hand_over(self, kept: KeptLetter) -> Replayed:
        value = kept.entry
        if kept.letter is None or value is None:
            return Replayed(code=ReplayCode.IMPOSSIBLE, obstacle=kept.obstacle)
        instance = kept.letter.instance
        p = self._keys.partition(kept.id.partition)
        entry = await self._pipe.script(
            load_script("replay"),
            (p.dead, p.stream(instance), p.streams, p.ready, p.bell),
            (str(kept.id.entry), instance, value, GROUP),
        )
        if entry is None:
            return Replayed(code=ReplayCode.GONE)
        return Replayed(code=ReplayCode.REPLAYED, entry=EntryId.parse(entry))


def _bound(letters: int) -> Callable[[], bool]:
    """Says whether one call has looked at enough; asked before each letter, never at the first."""
    loop = asyncio.get_running_loop()
    end_s, looked_at = loop.time() + LOOKING_S, 0

    def is_enough() -> bool:
        nonlocal looked_at
        looked_at += 1
        return looked_at > letters or (looked_at > 1 and loop.time() > end_s)

    return is_enough
