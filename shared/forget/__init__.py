"""
Forgetting: everything of one user of one instance is deleted, wherever inturn keeps it.

In this order, each step repeatable, so that after a crash the whole is simply called again:

1. The wish is written down for the ingest processes (``asked``). Each overwrites what its disk
   holds of the user, and puts no older message of theirs into Redis any more. They are waited for,
   a little; one that is away is told when it comes back.
2. The user's part of their partition (``partition``): entries and the record of the window in hand,
   then replies, dead letters, journal, and what is remembered beside them. The owner is fenced and
   finds its partition anew, so nothing that it had in memory starts. A handler or a send that is at
   work at that moment cannot be called back; what comes of it is refused.
3. Their tickets in the queue that is called like the instance (``ticket_forget``).

What was accepted before the call is gone when it returns; what comes later is new. What is accepted
in between may be either, and is never half of it: a message that stays is handled.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from shared.connect import Pipe
from shared.forget.asked import Heeding, ask_to_forget, look_at_heeding
from shared.forget.counts import Forgotten
from shared.forget.partition import UsersPart
from shared.keys import ClinicKeys, Keys
from shared.model import EntryId
from shared.redis_time import time_ms_at
from shared.scripts import load_script

WAIT_S = 5.0
"""How long ingest processes are waited for: they look every second, and may be reading a disk."""

LOOK_S = 0.05

NOT_REACHED = (
    "Redis's append-only file and snapshots, until they are rewritten (BGREWRITEAOF, BGSAVE)",
    "backups of Redis, and of the machines that ingest runs on",
    "what the handler, its model and the provider keep of their own",
    "a handler's call or a send that was at work at that moment",
    "log lines: they hold a keyed hash of the user, no number and no text",
)
"""What is beyond inturn, for who has to see to it."""

__all__ = ["NOT_REACHED", "WAIT_S", "Forgetter", "Forgotten", "Report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What went, and which ingest processes have said that their disks hold nothing any more."""

    forgotten: Forgotten
    heeding: Heeding

    def face(self) -> dict[str, Any]:
        """As HTTP and the command line tell it; nobody's name is in it."""
        return {
            "forgotten": asdict(self.forgotten),
            "ingest": asdict(self.heeding),
            "not_reached": NOT_REACHED,
        }


class Forgetter:
    """Forgets users; ``wait_s``: how long ingest processes are waited for."""

    def __init__(self, pipe: Pipe, keys: Keys, *, wait_s: float = WAIT_S) -> None:
        self._pipe = pipe
        self._keys = keys
        self._wait_s = wait_s

    async def forget(self, instance: str, user: str) -> Report:
        """
        Delete everything of a user; also where nothing is known of them.

        Raises:
            BrokerUnavailable, BrokerRefused: some of it may be deleted; call again.
        """
        asked, asked_ms = await ask_to_forget(self._pipe, self._keys, instance, user)
        heeding = await self._wait(asked, asked_ms)
        partition = self._keys.of(instance, user)
        newest_ms = await time_ms_at(self._pipe, partition.running)
        forgotten = await UsersPart(self._pipe, self._keys, instance, user).forget(newest_ms)
        tickets = await self._forget_tickets(instance, user)
        return Report(forgotten=forgotten + Forgotten(tickets=tickets), heeding=heeding)

    async def _wait(self, asked: EntryId, asked_ms: int) -> Heeding:
        try:
            async with asyncio.timeout(self._wait_s):
                while True:
                    heeding = await look_at_heeding(self._pipe, self._keys, asked, asked_ms)
                    if not heeding.awaited:
                        return heeding
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            return await look_at_heeding(self._pipe, self._keys, asked, asked_ms)

    async def _forget_tickets(self, clinic: str, user: str) -> int:
        of = ClinicKeys.of(self._keys.prefix, clinic)
        keys = (of.tickets, of.numbers, of.idempotent)
        return int(await self._pipe.script(load_script("ticket_forget"), keys, (user,)))
