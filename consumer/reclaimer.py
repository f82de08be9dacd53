"""
The audit of what an owner believes against what Redis holds. In a healthy system it finds nothing.

All times are this process's own: Redis's idle times lie after a clock step. What it finds twice,
an interval apart, or what no healthy moment looks like, sends the partition through the takeover,
which claims and orders everything; nothing is folded in late. The same rounds remove streams that
have been empty for ``dedupe_ms``, mutes that are over, and rows of a journal that are older than
``retention_ms``.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from consumer.dispatch import Dispatcher
from consumer.memory import Memory
from consumer.partition import Partition
from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.metrics import ConsumerMetrics
from shared.model import EntryId, Token, WorkerId
from shared.scripts import load_script

PENDING_COUNT = 5000
"""Pending entries looked at per stream and round: more than ``READ_AHEAD`` holds by default."""

STREAMS_AT_ONCE = 64

IDLE_STREAMS = 100
"""Idle streams looked at per partition and round."""

TRIM_ROUNDS = 16
"""A partition is trimmed in one of so many rounds."""

log = structlog.get_logger()


class Reclaimer:
    """Audits every owned partition, ``reclaim_idle_ms`` / 4 apart."""

    def __init__(
        self,
        worker: WorkerId,
        pipe: Pipe,
        partitions: Mapping[int, Partition],
        dispatcher: Dispatcher,
        metrics: ConsumerMetrics,
        *,
        reclaim_idle_ms: int,
        dedupe_ms: int,
        retention_ms: int,
        foreign_limit_ms: Callable[[str], int],
    ) -> None:
        self._worker = worker
        self._pipe = pipe
        self._partitions = partitions
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._idle_s = reclaim_idle_ms / 1000
        self._dedupe_ms = dedupe_ms
        self._retention_ms = retention_ms
        self._foreign_limit_ms = foreign_limit_ms
        self._cursors: dict[int, int] = {}
        self._strangers: dict[tuple[int, str, EntryId], float] = {}
        self._records: dict[Token, float] = {}
        self._rounds = 0

    async def run(self) -> None:
        """Round after round until cancelled."""
        while True:
            await asyncio.sleep(self._idle_s / 4 * random.uniform(0.8, 1.2))
            await self.round()

    async def round(self) -> None:
        """Audit every partition that is ours and loaded, if Redis holds anything to audit."""
        self._rounds += 1
        strangers: dict[tuple[int, str, EntryId], float] = {}
        records: dict[Token, float] = {}
        partitions = list(self._partitions.values())
        try:
            has_records, has_streams, has_kept = await self._holds_any(partitions)
        except (BrokerUnavailable, BrokerRefused) as error:
            log.warning("audit.delayed", error=str(error))
            return
        for partition in partitions:
            if not partition.loaded or partition.stopped:
                continue
            try:
                if has_records:
                    records |= await self._audit_records(partition)
                if has_streams or partition.memory.streams:
                    strangers |= await self._audit_streams(partition)
                if has_kept and (partition.number + self._rounds) % TRIM_ROUNDS == 0:
                    await self._trim(partition)
            except (BrokerUnavailable, BrokerRefused) as error:
                log.warning("audit.delayed", partition=partition.number, error=str(error))
        self._strangers, self._records = strangers, records

    async def _holds_any(self, partitions: Sequence[Partition]) -> tuple[bool, bool, bool]:
        """Whether some partition has records, whether one has streams, and one what may be over."""
        names = [partition.store.keys for partition in partitions]
        if not names:
            return False, False, False
        records = [key for name in names for key in (name.running, name.sending)]
        kept = [key for name in names for key in (name.journal, name.muted)]
        found = await asyncio.gather(
            self._is_any_there(records),
            self._is_any_there([name.streams for name in names]),
            self._is_any_there(kept),
        )
        return found[0], found[1], found[2]

    async def _is_any_there(self, keys: Sequence[str]) -> bool:
        """Those of whom nobody can tell may be there, unless nobody tells anything."""
        asked = [self._pipe.call("EXISTS", *each) for each in self._pipe.together(keys)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        errors = [answer for answer in found if isinstance(answer, BaseException)]
        if len(errors) == len(found):
            raise errors[0]
        return bool(errors) or any(found)

    async def _audit_records(self, partition: Partition) -> dict[Token, float]:
        """Records that are not what they seem, with when each was first seen so."""
        seen: dict[Token, float] = {}
        now_s = time.monotonic()
        records, damaged = await partition.store.running()
        if count := len(damaged) + await partition.sender.count_damaged():
            self._take_over(partition, "damaged record", count)
        for conversation, record in records.items():
            ours = record.worker == self._worker
            if not record.worker or (ours and record.token in self._dispatcher.running):
                continue
            if partition.memory.is_waiting(conversation, record.token):
                continue  # it is known, and runs when its turn comes
            first_s = self._records.get(record.token, now_s)
            seen[record.token] = first_s
            limit_s = 0.0 if ours else self._foreign_limit_ms(conversation[0]) / 1000
            if now_s - first_s > limit_s:
                if not ours:
                    await partition.store.postpone(conversation, record.token, 0, counts=True)
                self._take_over(partition, "own record" if ours else "foreign record", 1)
        return seen

    async def _audit_streams(self, partition: Partition) -> dict[tuple[int, str, EntryId], float]:
        """
        Pending entries that no window knows: in streams where memory holds something or
        something was odd, and in a few of the others, so that idle streams cost next to nothing.
        """
        strangers: dict[tuple[int, str, EntryId], float] = {}
        number = partition.number
        cursor = self._cursors.get(number, 0)
        self._cursors[number], some = await partition.store.some_streams(cursor, IDLE_STREAMS)
        odd = {instance for owner, instance, _ in self._strangers if owner == number}
        instances = sorted({*some, *odd, *partition.memory.streams})
        for at in range(0, len(instances), STREAMS_AT_ONCE):
            chunk = instances[at : at + STREAMS_AT_ONCE]
            found = await asyncio.gather(*(self._audit_stream(partition, i) for i in chunk))
            for part in found:
                strangers |= part
        return strangers

    async def _audit_stream(
        self, partition: Partition, instance: str
    ) -> dict[tuple[int, str, EntryId], float]:
        """
        Pending entries that no window in memory knows, with when each was first seen.

        Entries that are neither pending nor to be read are no matter of time: see ``audit.lua``.
        """
        store = partition.store
        try:
            pending, unlisted = await store.audit(instance)
        except BrokerRefused as error:
            if error.code == "WRONGTYPE":
                return {}  # somebody else wrote it: that stops its instance alone
            if error.code != "NOGROUP":
                raise
            if not await store.remove_stream(instance, self._dedupe_ms):
                self._take_over(partition, "lost group", 1)
            return {}
        if unlisted:
            self._take_over(partition, "unlisted entries", unlisted)
            return {}
        if pending == 0:
            await store.remove_stream(instance, self._dedupe_ms)
            return {}
        if pending == partition.memory.stream(instance).held:
            return {}
        ids = await store.pending_ids(instance, PENDING_COUNT)
        unknown = set(ids) - _held_ids(partition.memory, instance)
        now_s = time.monotonic()
        seen = {
            key: self._strangers.get(key, now_s)
            for key in ((partition.number, instance, entry_id) for entry_id in unknown)
        }
        old = sum(1 for first_s in seen.values() if now_s - first_s >= self._idle_s)
        if old:
            self._metrics.entries_reclaimed_total.inc(old)
            self._take_over(partition, "hidden entries", old)
            return {}
        return seen

    async def _trim(self, partition: Partition) -> None:
        """What was kept for a time and is over goes."""
        keys = (partition.store.keys.journal, partition.store.keys.muted)
        await self._pipe.script(load_script("trim"), keys, (self._retention_ms,))

    def _take_over(self, partition: Partition, reason: str, count: int) -> None:
        self._metrics.audits_failed_total.labels(reason=reason.replace(" ", "_")).inc()
        log.error("audit.failed", partition=partition.number, reason=reason, count=count)
        partition.restart(f"audit: {reason}")


def _held_ids(memory: Memory, instance: str) -> set[EntryId]:
    """Entries of an instance that some window in memory holds."""
    states = (state for state in memory.states.values() if state.instance == instance)
    return {entry_id for state in states for entry_id in state.ids()}
