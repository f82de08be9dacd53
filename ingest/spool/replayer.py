"""
From the spool into Redis: file by file, each one's messages in the order in which they came.

Messages go the way of every other one (the same script, the same durability), so what is replayed
twice after a crash is one entry. A file is removed when all of it is in Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from structlog.typing import FilteringBoundLogger

from ingest.accepted import Appender
from ingest.spool.folder import HeldFolder, Sealed
from ingest.spool.payload import decode_spooled
from ingest.spool.record import Record
from ingest.spool.spool import Spool
from shared.broker_errors import is_outage
from shared.errors import BrokerRefused, EntryUndecodable
from shared.metrics import IngestMetrics
from shared.probe import Point, reach

BATCH_MESSAGES = 256
"""What a killed process replays again at most."""

_ITS_OWN_FAULT = (BrokerRefused, EntryUndecodable, ValueError, TypeError)
"""What one message may raise; ``_raise_outage`` takes out what all would."""

log: FilteringBoundLogger = structlog.get_logger()


class Replayer:
    """Puts what a spool holds into Redis. One task at a time."""

    def __init__(self, spool: Spool, appender: Appender, metrics: IngestMetrics) -> None:
        """``appender`` writes to Redis; it should be patient, for nobody waits for an answer."""
        self._spool = spool
        self._appender = appender
        self._metrics = metrics

    async def replay_file(self, folder: HeldFolder, sealed: Sealed) -> int:
        """
        Put a file into Redis and remove it; the number of its messages.

        After a failure, a crash or a cancellation it may be called again, and goes on behind the
        last batch.

        Raises:
            BrokerUnavailable, BrokerRefused: Redis takes no writes; the rest is kept.
            OSError: a message that Redis refuses for its own sake cannot be set aside.
        """
        scan = await asyncio.to_thread(folder.read, sealed)
        self._spool.count_damage(max(0, scan.damaged - sealed.damaged))
        sealed.damaged = max(sealed.damaged, scan.damaged)
        sealed.messages = len(scan.records)
        for at in range(0, len(scan.records), BATCH_MESSAGES):
            batch = scan.records[at : at + BATCH_MESSAGES]
            await self._replay_batch(folder, batch)
            reach(Point.REPLAY)
            folder.note(sealed, batch[-1])
            sealed.messages -= len(batch)
        folder.finish(sealed)
        return len(scan.records)

    async def _replay_batch(self, folder: HeldFolder, batch: Sequence[Record]) -> None:
        try:
            await self._append(batch)
        except _ITS_OWN_FAULT as error:
            _raise_outage(error)
            for record in batch:
                await self._replay_alone(folder, record)

    async def _replay_alone(self, folder: HeldFolder, record: Record) -> None:
        """One message whose batch failed: what is wrong with it must not hold up the others."""
        try:
            await self._append([record])
        except _ITS_OWN_FAULT as error:
            _raise_outage(error)
            await asyncio.to_thread(folder.set_aside, record.payload)
            self._metrics.spool_refused_total.inc()
            why = error.code if isinstance(error, BrokerRefused) else type(error).__name__
            log.warning("spool.refused", code=why)

    async def _append(self, batch: Sequence[Record]) -> None:
        await self._appender.append([decode_spooled(record.payload).message for record in batch])
        self._metrics.spool_replayed_total.inc(len(batch))


def _raise_outage(error: Exception) -> None:
    if is_outage(error):
        raise error
