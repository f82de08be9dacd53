"""
How the owner of a partition reads.

Reading is a peek (the time, then what is unread) and fenced reads of what it
named, which peek in the same script; afterwards every entry older than the watermark has been read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import structlog

from consumer.answers import Peek, ReadCode, StreamRead
from consumer.memory import Memory
from consumer.store import PAGE_BYTES, PartitionStore
from shared import wire
from shared.errors import EntryUndecodable
from shared.metrics import ConsumerMetrics
from shared.model import Entry
from shared.probe import Point, reach

READ_COUNT = 250
"""Entries asked of one stream at a time: a megabyte or so of short messages."""

STREAMS_PER_READ = 64
"""Streams in one read script: Redis answers nobody else while it runs."""

SHARE_MIN_BYTES = 64 * 1024
"""A stream's share of one read, however many there are: a hundred short messages."""

FAILED_PAUSE_S = 1.0
"""How long a stream whose read failed is left alone."""

LOOK_S = 0.03
"""While nothing unread may be read, attempts that end make the partition peek this often."""

ROUNDS = 20
"""Reads of one turn; a flood goes on in the next turn, after what is due was started."""

log = structlog.get_logger()


class Reader:
    """Reads a partition's unread entries into its memory."""

    def __init__(
        self,
        store: PartitionStore,
        memory: Memory,
        read_ahead: int,
        metrics: ConsumerMetrics,
    ) -> None:
        self._store = store
        self._memory = memory
        self._read_ahead = read_ahead
        self._metrics = metrics
        self.last_reply = b""
        self.now_ms = 0
        self._must_peek = True
        self._hint: str | None = None
        self._began_s = 0.0
        self._named_s = 0.0
        self._failed_s: dict[str, float] = {}

    async def read(self, epoch: int) -> bool:
        """
        One turn: read what is unread, move the watermark. True: look again at once.

        A bell rings only for the first stream that becomes ready: another one may have become
        so after the names were told. Only names that lead to no read say that none has.

        Raises:
            Fenced: the lease is not ours; nothing more was read.
        """
        hint, self._hint = self._hint, None
        known = self._memory.unread or ({hint} if hint is not None else ())
        left = self._left(known, time.monotonic())
        goes_on = 0 < len(left) <= STREAMS_PER_READ and bool(self._wanted(left))
        if self._must_peek or not goes_on:
            left = await self._peek()
        rounds, is_stale = 0, False
        while (wanted := self._wanted(left)) and rounds < ROUNDS:
            left, is_stale = await self._read_round(epoch, left, wanted)
            rounds += 1
        self._memory.observe(self.now_ms, self._began_s, self._named_s)
        return is_stale or bool(self._wanted(left))

    def ring(self, instance: str | None) -> None:
        """
        The bell rang. Which stream became ready is a hint: its read tells of all others, and of
        replies, as a peek would.
        """
        if instance is None:
            self._must_peek = True
        else:
            self._hint = instance

    def goes_on(self, now_s: float) -> bool:
        """Whether what is known to be unread is a reason for a turn, though no bell rang."""
        unread = self._memory.unread
        if not unread:
            return False
        return now_s >= self._named_s + LOOK_S or bool(self._wanted(self._left(unread, now_s)))

    async def _peek(self) -> list[str]:
        self._must_peek, began_s = False, time.monotonic()
        return self._told(await self._store.peek(), began_s, time.monotonic())

    def _told(self, peek: Peek, began_s: float, now_s: float) -> list[str]:
        """Redis has named what is unread; all else older than its time is in memory."""
        self.now_ms, self.last_reply = peek.now_ms, peek.last_reply
        self._began_s, self._named_s = began_s, now_s
        self._memory.unread.intersection_update(peek.unread)
        self._memory.unread.update(peek.unread)
        return self._left(peek.unread, now_s)

    def _left(self, instances: Iterable[str], now_s: float) -> list[str]:
        """Those of the streams that may be read: whose last read did not fail just now."""
        return [i for i in instances if self._failed_s.get(i, 0.0) <= now_s]

    def _wanted(self, instances: list[str]) -> list[tuple[str, int]]:
        """
        Which streams to read, and how many entries of each.

        ``READ_AHEAD`` counts what is closed or in hand and what waits behind it. Entries of open
        windows never stop the read that closes them: else they would wait for others' handlers.
        How large entries are makes no difference: what the budget has no room for is kept bare.
        """
        wanted = []
        for instance in instances:
            stream = self._memory.streams.get(instance)
            room = self._read_ahead - (stream.held - stream.open if stream else 0)
            if stream is None or stream.busy == 0:
                room = max(room, READ_COUNT)
            if room > 0:
                wanted.append((instance, min(room, READ_COUNT)))
        return wanted[:STREAMS_PER_READ]

    async def _read_round(
        self, epoch: int, left: list[str], wanted: list[tuple[str, int]]
    ) -> tuple[list[str], bool]:
        """
        What is left to read in this turn, those first that were not asked for yet; and whether
        others may have become ready meanwhile.

        Few streams are named anew by each read; thousands would cost it more than their entries.
        """
        drained, failed = set(), set()
        asked = {instance for instance, _ in wanted}
        share = max(PAGE_BYTES // len(wanted), SHARE_MIN_BYTES)
        began_s = time.monotonic()
        peeks = len(left) <= STREAMS_PER_READ
        reads = await self._store.read(epoch, wanted, share, peeks=peeks)
        reach(Point.READ)
        answered_s = time.monotonic()
        for stream_read in reads.streams:
            await self._learn(epoch, stream_read)
            if stream_read.drained:
                drained.add(stream_read.instance)
            elif stream_read.code is ReadCode.FAILED:
                failed.add(stream_read.instance)
        until_s = time.monotonic() + FAILED_PAUSE_S
        self._failed_s = {i: s for i, s in self._failed_s.items() if i not in asked}
        self._failed_s |= dict.fromkeys(failed, until_s)
        if reads.peek is not None:
            rest = self._told(reads.peek, began_s, answered_s)
        else:
            self._memory.unread -= drained
            rest = [instance for instance in left if instance not in drained | failed]
        is_stale = reads.peek is None and len(failed) < len(reads.streams)
        return sorted(rest, key=asked.__contains__), is_stale

    async def _learn(self, epoch: int, stream_read: StreamRead) -> None:
        if stream_read.code is ReadCode.NO_GROUP:
            self._metrics.groups_recreated_total.inc()
            log.error("group.recreated", instance=stream_read.instance)
        elif stream_read.code is ReadCode.FAILED:
            log.error("read.failed", instance=stream_read.instance, error=stream_read.error)
        now_s = time.monotonic()
        page = []
        for raw_id, values in stream_read.entries:
            try:
                page.append(wire.decode_entry(stream_read.instance, raw_id, values))
            except EntryUndecodable as error:
                undecodable = (stream_read.instance, raw_id, values)
                await bury(self._store, epoch, undecodable, error, self._metrics)
        if page:
            self._memory.learn_page(stream_read.instance, page, now_s)
        if stream_read.entries:
            last_id: bytes = stream_read.entries[-1][0]
            stream = self._memory.stream(stream_read.instance)
            stream.read_to_ms = int(last_id.split(b"-")[0])


async def decode_or_bury(
    store: PartitionStore,
    epoch: int,
    instance: str,
    raw_id: bytes,
    values: bytes | list[bytes],
    metrics: ConsumerMetrics,
) -> Entry | None:
    """The entry; None when it cannot be read and has become a dead letter of its own."""
    try:
        return wire.decode_entry(instance, raw_id, values)
    except EntryUndecodable as error:
        await bury(store, epoch, (instance, raw_id, values), error, metrics)
        return None


async def bury(
    store: PartitionStore,
    epoch: int,
    undecodable: tuple[str, bytes, bytes | list[bytes]],
    error: EntryUndecodable,
    metrics: ConsumerMetrics,
) -> None:
    """Make a dead letter of an entry that cannot be read: its instance, id, and what is in it."""
    instance, raw_id, values = undecodable
    fields = [wire.FIELD, values] if isinstance(values, bytes) else values
    letter = wire.DeadLetter(
        window=None,
        error=str(error),
        attempts=0,
        instance=instance,
        raw=b" ".join(fields).decode(errors="backslashreplace"),
    )
    await store.bury(epoch, instance, raw_id, wire.encode_dead_letter(letter))
    metrics.entries_undecodable_total.inc()
    metrics.dead_letters_total.inc()
    log.warning("entry.undecodable", instance=instance, entry=raw_id.decode())
