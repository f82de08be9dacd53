"""
A partition as plain Python: what the scripts promise, for tests of what the owner remembers.

The scripts themselves are tested against real Redis; this model lets a test own the clock and
run thousands of histories. Its methods are those of ``consumer.store.PartitionStore``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from consumer.answers import (
    ClaimPage,
    FinishCode,
    FinishRequest,
    Peek,
    RawEntry,
    ReadCode,
    Reads,
    StartAnswer,
    StartCode,
    StartRequest,
    StreamRead,
)
from shared.errors import Fenced
from shared.model import Conversation, EntryId, Token, WorkerId
from shared.record import Record

NOTHING_READ = EntryId(0, 0)


@dataclass(slots=True)
class ModelStream:
    """One instance's stream and its group."""

    entries: dict[EntryId, bytes] = field(default_factory=dict)
    pending: set[EntryId] = field(default_factory=set)
    read_to: EntryId = NOTHING_READ

    def fitting(self, ids: Sequence[EntryId], max_bytes: int) -> int:
        """How many of ``ids`` are asked for until ``max_bytes`` are passed: pages of one."""
        size = 0
        for count, entry_id in enumerate(ids, 1):
            size += len(self.entries[entry_id])
            if size >= max_bytes:
                return count
        return len(ids) + 1


class ModelPartition:
    """The data of one partition, and Redis's clock."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.epoch = 0
        self.owner: WorkerId | None = None
        self.streams: dict[str, ModelStream] = {}
        self.ready: set[str] = set()
        self.running: dict[Conversation, Record] = {}
        self._last = EntryId(0, 0)

    def append(self, instance: str, value: bytes) -> EntryId:
        """Put one entry into its stream."""
        seq = self._last.seq + 1 if self._last.ms == self.now_ms else 0
        self._last = EntryId(self.now_ms, seq)
        self.streams.setdefault(instance, ModelStream()).entries[self._last] = value
        self.ready.add(instance)
        return self._last

    def acquire(self, worker: WorkerId) -> int:
        """A new epoch, or 0 while another holds the lease."""
        if self.owner not in (None, worker):
            return 0
        self.owner = worker
        self.epoch += 1
        return self.epoch


class ModelStore:
    """``PartitionStore`` over a ``ModelPartition``, spoken for one worker."""

    def __init__(self, partition: ModelPartition, worker: WorkerId) -> None:
        self._partition = partition
        self._worker = worker

    async def peek(self) -> Peek:
        """The time and what is unread."""
        return self._peek()

    def _peek(self) -> Peek:
        ready = tuple(sorted(self._partition.ready))
        return Peek(now_ms=self._partition.now_ms, unread=ready, last_reply=b"")

    async def read(
        self, epoch: int, wanted: Sequence[tuple[str, int]], max_bytes: int, *, peeks: bool
    ) -> Reads:
        """Fenced; a stream that gives fewer entries than asked for leaves ``ready``."""
        self._fence(epoch)
        reads = []
        for instance, count in wanted:
            stream = self._partition.streams[instance]
            unread = [entry_id for entry_id in stream.entries if entry_id > stream.read_to]
            asked = min(count, stream.fitting(unread, max_bytes))
            taken = unread[:asked]
            stream.pending.update(taken)
            stream.read_to = taken[-1] if taken else stream.read_to
            drained = len(taken) < asked
            if drained:
                self._partition.ready.discard(instance)
            rows = [self._row(stream, entry_id) for entry_id in taken]
            code = ReadCode.READ if drained else ReadCode.MORE
            reads.append(StreamRead(instance=instance, code=code, entries=rows, drained=drained))
        return Reads(peek=self._peek() if peeks else None, streams=reads)

    async def streams(self) -> list[str]:
        """The instances that have a stream here."""
        return sorted(self._partition.streams)

    async def running(self) -> tuple[dict[Conversation, Record], list[tuple[bytes, bytes]]]:
        """Every record; none is damaged."""
        return dict(self._partition.running), []

    async def records(self, conversations: Sequence[Conversation]) -> list[Record | None]:
        """The records of some conversations."""
        return [self._partition.running.get(conversation) for conversation in conversations]

    async def claim(
        self, epoch: int, instance: str, cursor: bytes, count: int, max_bytes: int
    ) -> ClaimPage:
        """A page of what is pending."""
        self._fence(epoch)
        stream = self._partition.streams[instance]
        pending = sorted(p for p in stream.pending if p >= EntryId.parse(cursor))
        count = min(count, stream.fitting(pending, max_bytes))
        rest = pending[count:]
        rows = [self._row(stream, entry_id) for entry_id in pending[:count]]
        return ClaimPage(cursor=str(rest[0]).encode() if rest else b"0-0", entries=rows, missing=0)

    async def entries(self, wanted: Sequence[tuple[str, EntryId]]) -> list[RawEntry | None]:
        """Each that is in its stream."""
        streams = self._partition.streams
        return [
            self._row(streams[instance], entry_id)
            if entry_id in streams[instance].entries
            else None
            for instance, entry_id in wanted
        ]

    async def start(self, epoch: int, requests: Sequence[StartRequest]) -> list[StartAnswer]:
        """Exactly the named token must stand there."""
        self._fence(epoch)
        return [self._start(request) for request in requests]

    async def postpone(
        self,
        conversation: Conversation,
        token: Token,
        delay_ms: int,
        *,
        counts: bool,
        unavailable: bool = False,
        error: str = "",
    ) -> bool:
        """The record becomes nobody's, once."""
        record = self._partition.running.get(conversation)
        if record is None or record.token != token:
            return False
        if record.worker:
            self._partition.running[conversation] = replace(
                record,
                worker=WorkerId(""),
                retry_at=self._partition.now_ms + delay_ms,
                delay_ms=delay_ms,
                attempt=record.attempt - (not counts),
            )
        return True

    async def finish(
        self, requests: Sequence[FinishRequest], retention_ms: int
    ) -> list[FinishCode]:
        """Only the record's token ends a window."""
        return [self._finish(request) for request in requests]

    def _finish(self, request: FinishRequest) -> FinishCode:
        conversation = request.conversation
        record = self._partition.running.get(conversation)
        stream = self._partition.streams[conversation[0]]
        if record is None and request.first not in stream.entries:
            return FinishCode.ALREADY
        if record is None or record.token != request.token:
            return FinishCode.REFUSED
        for entry_id in record.ids:
            del stream.entries[entry_id]
            stream.pending.discard(entry_id)
        del self._partition.running[conversation]
        return FinishCode.FINISHED

    def _start(self, request: StartRequest) -> StartAnswer:
        window, running = request.window, self._partition.running
        current = running.get(window.conversation)
        ids = tuple(entry.id for entry in window.entries)
        if current and current.token == request.token and current.worker == self._worker:
            return self._answer(StartCode.STARTED, current.attempt)
        stands = current.token if current else None
        if stands != request.replaces or request.token == request.replaces:
            return self._answer(StartCode.CONFLICT, 0)
        if current is None and ids[0] not in self._partition.streams[window.instance].pending:
            return self._answer(StartCode.GONE, 0)
        attempt = (current.attempt if current else 0) + 1
        running[window.conversation] = Record(
            ids=ids,
            window_id=window.id,
            closed_by=window.closed_by,
            opened_at=window.opened_at,
            closed_at=window.closed_at,
            token=request.token,
            worker=self._worker,
            attempt=attempt,
        )
        return self._answer(StartCode.STARTED, attempt)

    def _answer(self, code: StartCode, attempt: int) -> StartAnswer:
        now_ms = self._partition.now_ms
        return StartAnswer(code=code, attempt=attempt, delay_ms=0, since=0, now_ms=now_ms)

    def _row(self, stream: ModelStream, entry_id: EntryId) -> RawEntry:
        return str(entry_id).encode(), [b"m", stream.entries[entry_id]]

    def _fence(self, epoch: int) -> None:
        if (self._partition.owner, self._partition.epoch) != (self._worker, epoch):
            raise Fenced(0)
