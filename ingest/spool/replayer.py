"""
From the spool into Redis: file by file, each one's messages in the order in which they came.

Messages go the way of every other one (the same script, the same durability), so what is replayed
twice after a crash is one entry. A file is removed when all of it is in Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

import structlog
from structlog.typing import FilteringBoundLogger

from ingest.accepted import Appender
from ingest.spool.files import Sealed
from ingest.spool.folder import HeldFolder
from ingest.spool.payload import Named, Outcome, Spooled, decode_record, is_outcome, key_of
from ingest.spool.record import Record
from ingest.spool.spool import Spool
from shared.broker_errors import is_outage
from shared.errors import BrokerRefused, EntryUndecodable
from shared.metrics import IngestMetrics
from shared.model import Message
from shared.probe import Point, reach

BATCH_MESSAGES = 256
"""What a killed process replays again at most."""

_ITS_OWN_FAULT = (BrokerRefused, EntryUndecodable, ValueError, TypeError)
"""What one message may raise; ``_raise_outage`` takes out what all would."""

Settle = Callable[[Message], Awaitable[Outcome | None]]


class Memory(Protocol):
    """Tells Redis of messages that were handled without it. Safe to call again."""

    async def remember(self, outcome: Outcome) -> bool:
        """
        Note one.

        Raises:
            BrokerUnavailable, BrokerRefused: call again.
        """
        ...


class Forgetting(Protocol):
    """Knows whose messages are to be forgotten rather than replayed."""

    def replaying(self) -> AbstractAsyncContextManager[None]:
        """Around each batch; may raise ``BrokerUnavailable`` or ``BrokerRefused`` before it."""
        ...

    def is_due(self, named: Named) -> bool:
        """Whether what is named so is to be forgotten."""
        ...


class _ForgetsNobody:
    """Where nobody can be forgotten meanwhile."""

    def replaying(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def is_due(self, _named: Named) -> bool:
        return False


log: FilteringBoundLogger = structlog.get_logger()


class Replayer:
    """Puts what a spool holds into Redis. One task at a time."""

    def __init__(
        self,
        spool: Spool,
        appender: Appender,
        memory: Memory,
        metrics: IngestMetrics,
        settle: Settle | None = None,
        forgets: Forgetting | None = None,
    ) -> None:
        """
        ``appender`` writes to Redis; it should be patient, for nobody waits for an answer.

        ``settle`` is asked whether a message was handled in the meantime, and may take the time
        of a handler's call to find out.
        """
        self._spool = spool
        self._appender = appender
        self._memory = memory
        self._metrics = metrics
        self._settle = settle or self._find_outcome
        self._forgets = forgets or _ForgetsNobody()

    async def replay_file(self, folder: HeldFolder, sealed: Sealed) -> int:
        """
        Put a file into Redis and remove it; the number of its messages.

        After a failure, a crash or a cancellation it may be called again, and goes on behind the
        last batch, or message that went alone.

        Raises:
            BrokerUnavailable, BrokerRefused: Redis takes no writes; the rest is kept.
            OSError: a message that Redis refuses for its own sake cannot be set aside.
        """
        scan = await asyncio.to_thread(folder.read, sealed)
        self._spool.count_damage(max(0, scan.damaged - sealed.damaged))
        sealed.damaged = max(sealed.damaged, scan.damaged)
        count = _count_messages(scan.records)
        if count < sealed.messages:
            log.error("spool.lost", messages=sealed.messages - count)
        sealed.messages = count
        for at in range(0, len(scan.records), BATCH_MESSAGES):
            batch = scan.records[at : at + BATCH_MESSAGES]
            async with self._forgets.replaying():
                await self._replay_batch(folder, sealed, batch)
        folder.finish(sealed)
        return count

    async def _find_outcome(self, message: Message) -> Outcome | None:
        return self._spool.outcomes.get(key_of(message))

    async def _replay_batch(
        self, folder: HeldFolder, sealed: Sealed, batch: Sequence[Record]
    ) -> None:
        try:
            await self._append(batch)
        except _ITS_OWN_FAULT as error:
            _raise_outage(error)
            for record in batch:
                await self._replay_alone(folder, record)
                _pass(folder, sealed, [record])  # what was set aside is not to be so again
        else:
            _pass(folder, sealed, batch)

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
        messages, outcomes = [], []
        for record in batch:
            found = decode_record(record.payload)
            if not isinstance(found, Spooled):
                continue  # an outcome is known since its folder was adopted, or our own
            outcome = await self._settle(found.message)
            if self._forgets.is_due(_named(found)):
                continue
            if outcome is None:
                messages.append(found.message)
            else:
                outcomes.append(outcome)
        remembered = (self._memory.remember(outcome) for outcome in outcomes)
        for answer in await asyncio.gather(*remembered, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer
        await self._appender.append(messages)
        self._metrics.spool_replayed_total.inc(len(messages) + len(outcomes))


def _pass(folder: HeldFolder, sealed: Sealed, records: Sequence[Record]) -> None:
    """The replay goes on behind these, whatever becomes of it."""
    reach(Point.REPLAY)
    folder.note(sealed, records[-1])
    sealed.messages -= _count_messages(records)


def _named(spooled: Spooled) -> Named:
    return Named(instance=spooled.message.instance, user=spooled.message.user, at=spooled.at)


def _count_messages(records: Sequence[Record]) -> int:
    return sum(not is_outcome(record.payload) for record in records)


def _raise_outage(error: Exception) -> None:
    if is_outage(error):
        raise error
