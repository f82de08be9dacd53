"""
Who is to be forgotten: what every ingest process is told, and whether it has heeded it.

A spool is on the disk of its process, where nobody else comes. So the wish is written down in Redis
(``forgets``), as a hash and a time; each ingest process looks for it every second, and once more
before it puts anything of the spool into Redis. One that was away is told when it comes back, for
``KEEP_MS``.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from shared.connect import Pipe
from shared.keys import Keys, conversation_hash
from shared.model import EntryId
from shared.scripts import load_script

KEEP_MS = 30 * 86_400_000
"""A machine that is away for longer may bring back what was to be forgotten."""

STRUCK_OFF_MS = 86_400_000
"""After so long without a word an ingest process does not count as one any more."""

SILENT_MS = 10_000
"""Who has not said a word for so long is not waited for; it says one every ``SAY_S``."""

SAY_S = 4.0

_NOTHING = EntryId(0, 0)


class Asked:
    """
    What was asked for, as one process has heard of it. ``ahead_ms``: how far Redis's clock is
    ahead of this machine's.

    ``process``: the name of an ingest process, under which it says what it has heeded.
    """

    def __init__(self, pipe: Pipe, keys: Keys, process: str = "") -> None:
        self.ahead_ms = 0
        self._heard = self._heeded = _NOTHING
        self._pipe = pipe
        self._keys = (keys.forgets, keys.heeded)
        self._process = process
        self._until: dict[str, int] = {}

    async def is_news(self) -> bool:
        """
        Whether something is not heeded, or not even heard of: one small read, which says nothing.

        Raises:
            BrokerUnavailable, BrokerRefused: it is not known.
        """
        after = f"({self._heard}"
        return self.has_news or bool(
            await self._pipe.call("XRANGE", self._keys[0], after, "+", "COUNT", 1)
        )

    async def hear(self, now_ms: int) -> None:
        """
        Ask for what is new, and say how far this process has come.

        ``now_ms``: this machine's clock, to know how far Redis's is ahead of it.

        Raises:
            BrokerUnavailable, BrokerRefused: nothing was heard.
        """
        args = (str(self._heard), self._process, str(self._heeded))
        redis_ms, *rows = await self._pipe.script(load_script("heed"), self._keys, args)
        self.ahead_ms = int(redis_ms) - now_ms
        for raw_id, values in rows:
            self._heard = EntryId.parse(raw_id)
            with suppress(ValueError):  # a later version's: this process must not end of it
                _, who, _, at = values
                self._until.pop(who.decode(), None)  # so that the oldest comes first
                self._until[who.decode()] = int(at)
        while self._until and next(iter(self._until.values())) < int(redis_ms) - KEEP_MS:
            del self._until[next(iter(self._until))]

    @property
    def has_news(self) -> bool:
        """Whether something was heard of that is not heeded."""
        return self._heard > self._heeded

    def heed(self) -> None:
        """All that was heard of until now is done; the next ``hear`` says so."""
        self._heeded = self._heard

    async def leave(self) -> None:
        """This process ends: nobody waits for it any more."""
        await self._pipe.call("HDEL", self._keys[1], self._process)

    def covers(self, instance: str, user: str, at_ms: int) -> bool:
        """Whether a message that came at ``at_ms`` of this machine's clock is to be forgotten."""
        if not self._until:
            return False
        until = self._until.get(conversation_hash(instance, user))
        return until is not None and at_ms + self.ahead_ms <= until


@dataclass(frozen=True, slots=True, kw_only=True)
class Heeding:
    """
    How far the ingest processes have come: those that have heeded, those that are waited for, and
    those that have been silent and will be told when they come back.
    """

    heeded: int
    awaited: tuple[str, ...]
    silent: tuple[str, ...]


async def ask_to_forget(pipe: Pipe, keys: Keys, instance: str, user: str) -> tuple[EntryId, int]:
    """
    Write it down; its id, and Redis's ms: what came later is new.

    Called again it is written down once more, which changes nothing but the time.
    """
    args = (conversation_hash(instance, user), KEEP_MS, STRUCK_OFF_MS)
    answer = await pipe.script(load_script("ask_forget"), (keys.forgets, keys.heeded), args)
    return EntryId.parse(answer[0]), int(answer[1])


async def look_at_heeding(pipe: Pipe, keys: Keys, asked: EntryId, asked_ms: int) -> Heeding:
    """Who has heeded a forget by now."""
    flat = await pipe.call("HGETALL", keys.heeded)
    heeded, awaited, silent = 0, [], []
    for process, value in zip(flat[::2], flat[1::2], strict=True):
        last, _, at = value.partition(b" ")
        if EntryId.parse(last) >= asked:
            heeded += 1
        elif int(at) + SILENT_MS < asked_ms:
            silent.append(process.decode())
        else:
            awaited.append(process.decode())
    return Heeding(heeded=heeded, awaited=tuple(sorted(awaited)), silent=tuple(sorted(silent)))
