"""
A partition's windows in Redis: one typed method per script.

Every method may raise ``BrokerUnavailable`` (no answer: it may have run) or ``BrokerRefused``
(an answer that is an error). Those that need the lease raise ``Fenced`` when it is not ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from consumer.answers import (
    ClaimPage,
    FinishAnswer,
    FinishCode,
    FinishRequest,
    Peek,
    RawEntry,
    Reads,
    StartAnswer,
    StartCode,
    StartRequest,
    peek_of,
    stream_read_of,
)
from shared.broker_errors import classify_caught
from shared.connect import Pipe
from shared.counts import RECLAIMED, note
from shared.errors import BrokerRefused, Fenced
from shared.keys import GROUP, PartitionKeys, conversation_field, conversation_hash
from shared.keys import conversation_of_field as conversation_of
from shared.model import Conversation, EntryId, Token, WorkerId
from shared.record import DAMAGE, Record, decode_record, encode_extent, kind_on_a_line
from shared.scripts import load_script

PAGE_BYTES = 1024 * 1024
"""Of entries in one answer: all partitions of a worker may read at once."""

_FENCED = 0
_FAILED = 3

_START_CODES = tuple(StartCode)
_FINISH_CODES = {code.value: code for code in FinishCode}


class PartitionStore:
    """The scripts of one partition, spoken for one worker."""

    def __init__(self, pipe: Pipe, keys: PartitionKeys, worker: WorkerId) -> None:
        self.keys = keys
        self._pipe = pipe
        self._worker = worker

    async def peek(self) -> Peek:
        """The time, then the streams that have unread entries: older ones are all in those."""
        return peek_of(*await self._script("peek", (self.keys.ready, self.keys.outbox), ()))

    async def read(
        self,
        epoch: int,
        wanted: Sequence[tuple[str, int]],
        max_bytes: int = PAGE_BYTES,
        *,
        peeks: bool = False,
    ) -> Reads:
        """
        Read up to so many entries of each named instance into our pending list.

        Of each no more than ``max_bytes`` and a page of at most sixteen entries. ``peeks``: and
        peek, in the same instant.

        Raises:
            Fenced: nothing was read.
        """
        streams = [self.keys.stream(instance) for instance, _ in wanted]
        pairs = [part for pair in wanted for part in pair]
        keys = (self.keys.lease, self.keys.ready, self.keys.outbox, self.keys.pending, *streams)
        args = (GROUP, max_bytes, int(peeks), *pairs)
        _, peek, *answers = await self._fenced("read", keys, epoch, args)
        return Reads(
            peek=peek_of(*peek) if peeks else None,
            streams=[
                stream_read_of(instance, code, body)
                for (instance, _), (code, body) in zip(wanted, answers, strict=True)
            ],
        )

    async def streams(self) -> list[str]:
        """The instances that have a stream here; what holds entries also where it was left out."""
        p, found = self.keys, set(await self._pipe.call("SMEMBERS", self.keys.streams))
        try:
            found.update(await self._pipe.call("ZUNION", 2, p.ready, p.pending))
        except BrokerRefused as error:
            if error.code != "WRONGTYPE":
                raise
            # somebody else wrote one of them: what is known must do
        return [name.decode() for name in found]

    async def some_streams(self, cursor: int, count: int) -> tuple[int, list[str]]:
        """About ``count`` of the instances that have a stream here; cursor 0 begins and ends."""
        answer = await self._pipe.call("SSCAN", self.keys.streams, cursor, "COUNT", count)
        return int(answer[0]), [name.decode() for name in answer[1]]

    async def running(self) -> tuple[dict[Conversation, Record], list[tuple[bytes, bytes]]]:
        """Every record of the partition; and field and value of those that cannot be read."""
        flat = await self._pipe.call("HGETALL", self.keys.running)
        records: dict[Conversation, Record] = {}
        damaged: list[tuple[bytes, bytes]] = []
        for field, value in zip(flat[::2], flat[1::2], strict=True):
            try:
                records[conversation_of(field)] = decode_record(value)
            except DAMAGE:
                damaged.append((field, value))
        return records, damaged

    async def drop(self, epoch: int, field: bytes, value: bytes) -> None:
        """
        Delete a record that cannot be read, as it stands there.

        Raises:
            Fenced: it was not deleted.
        """
        await self._fenced("drop", (self.keys.lease, self.keys.running), epoch, (field, value))

    async def records(self, conversations: Sequence[Conversation]) -> list[Record | None]:
        """
        The records of some conversations, None where there is none.

        Raises:
            BrokerRefused: also when one cannot be read; the takeover deletes it.
        """
        fields = [conversation_field(*conversation) for conversation in conversations]
        values = await self._pipe.call("HMGET", self.keys.running, *fields)
        try:
            return [None if value is None else decode_record(value) for value in values]
        except DAMAGE as error:
            raise BrokerRefused("DAMAGED", "a record cannot be read") from error

    async def claim(
        self,
        epoch: int,
        instance: str,
        cursor: bytes,
        count: int,
        max_bytes: int = PAGE_BYTES,
    ) -> ClaimPage:
        """
        Take a page of pending entries over, whoever read them: ``count`` at most, and no more
        than ``max_bytes`` and sixteen entries.

        Raises:
            Fenced: nothing was claimed.
        """
        keys = (self.keys.lease, self.keys.stream(instance), self.keys.ready)
        args = (GROUP, cursor, count, max_bytes, instance)
        return ClaimPage.of(await self._fenced("claim", keys, epoch, args), self._worker)

    async def note_reclaimed(self, entries: int) -> None:
        """Count entries that were taken over from another worker."""
        await note(self._pipe, self.keys.counts, RECLAIMED, entries)

    async def entries(self, wanted: Sequence[tuple[str, EntryId]]) -> list[RawEntry | None]:
        """Each entry of an instance's stream that is wanted, pending or not; None: not there."""
        asked = ((self.keys.stream(instance), str(entry_id)) for instance, entry_id in wanted)
        commands = (("XRANGE", stream, text, text) for stream, text in asked)
        return [tuple(rows[0]) if rows else None for rows in await self._pipe.call_each(commands)]

    async def audit(self, instance: str) -> tuple[int, int]:
        """How many entries are read and not finished; how many neither that nor to be read."""
        keys = (self.keys.stream(instance), self.keys.ready)
        pending, unlisted = await self._script("audit", keys, (GROUP, instance))
        return pending, unlisted

    async def pending_ids(self, instance: str, count: int) -> list[EntryId]:
        """The oldest ``count`` entries that are read and not finished."""
        stream = self.keys.stream(instance)
        rows = await self._pipe.call("XPENDING", stream, GROUP, "-", "+", count)
        return [EntryId.parse(row[0]) for row in rows]

    async def start(self, epoch: int, requests: Sequence[StartRequest]) -> list[StartAnswer]:
        """
        Write the records of windows that begin; many at once.

        Raises:
            Fenced: none was started.
        """
        streams = [self.keys.stream(request.window.instance) for request in requests]
        args: list[Any] = [GROUP]
        for request in requests:
            window = request.window
            ids = [f"{(i := entry.id).ms}-{i.seq}" for entry in window.entries]
            args += (conversation_field(window.instance, window.user), request.replaces or "")
            args += (request.token, ids[0], encode_extent(window, ids, request.error))
        keys = (self.keys.lease, self.keys.running, self.keys.muted, *streams)
        answer = await self._fenced("start", keys, epoch, args)
        now_ms = answer[1]
        return [
            StartAnswer(
                code=_START_CODES[code],
                attempt=attempt,
                delay_ms=delay,
                since=since,
                now_ms=now_ms,
                is_muted=muted == 1,
            )
            for code, attempt, delay, since, muted in answer[2:]
        ]

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
        """Give a window back until later. False: the token is not ours any more. Repeatable."""
        keys = (self.keys.running, self.keys.lease, self.keys.bell)
        who = (conversation_field(*conversation), token, self._worker)
        why = (int(counts), int(unavailable), error, kind_on_a_line(error))
        answer = await self._script("postpone", keys, (*who, delay_ms, *why))
        return bool(answer[0] == 0)

    async def finish(
        self, requests: Sequence[FinishRequest], retention_ms: int
    ) -> list[FinishAnswer]:
        """
        Record outcomes and release the users, many at once, in one script.

        After a crash before this call the windows are handed out again with the same ids; calling
        again after a lost answer is safe.
        """
        p = self.keys
        keys = [p.running, p.outbox, p.dead, p.journal, p.lease, p.bell, p.muted]
        keys += [p.stream(request.conversation[0]) for request in requests]
        args: list[Any] = [self._worker, GROUP, retention_ms, len(requests)]
        histories: list[str] = []
        memories: list[Any] = []
        for number, one in enumerate(requests, 1):
            keys += p.both_seen_of(who := conversation_hash(*one.conversation))
            args += (conversation_field(*one.conversation), one.token, str(one.first))
            args += (one.outcome, one.value, who, one.mute_ms)
            if (memory := one.memory) is not None:
                histories.append(p.history(*one.conversation))
                memories += (number, memory.item, memory.keep, memory.keep_ms)
        args += memories
        answers = await self._script("finish", (*keys, *histories), args)
        return [
            classify_caught(text.decode()) if code == _FAILED else _FINISH_CODES[code]
            for code, text in answers
        ]

    async def history(self, conversation: Conversation) -> tuple[bytes, ...]:
        """What a handler is told again of a user, oldest first."""
        try:
            return tuple(await self._pipe.call("LRANGE", self.keys.history(*conversation), 0, -1))
        except BrokerRefused as error:
            if error.code == "WRONGTYPE":
                return ()  # somebody else wrote it; the next finish lets it expire
            raise

    async def persons(self, conversation: Conversation) -> tuple[int, dict[bytes, bytes]]:
        """Redis's ms, and what is known of persons who answer a user by hand."""
        now_ms, *flat = await self._script("muted", (self.keys.human(*conversation),), ())
        return now_ms, dict(zip(flat[::2], flat[1::2], strict=True))

    async def bury(self, epoch: int, instance: str, entry_id: bytes, letter: bytes) -> None:
        """
        Make a dead letter of one entry that cannot be decoded.

        Raises:
            Fenced: it was not buried.
        """
        keys = (self.keys.lease, self.keys.stream(instance), self.keys.dead)
        args = (self._worker, epoch, GROUP, entry_id, letter)
        if await self._script("bury", keys, args) == _FENCED:
            raise Fenced(self.keys.number)

    async def remove_stream(self, instance: str, dedupe_ms: int) -> bool:
        """Delete an instance's stream here, if nothing can refer to it any more."""
        keys = (self.keys.stream(instance), self.keys.streams, self.keys.ready)
        return bool(await self._script("remove_stream", keys, (instance, GROUP, dedupe_ms)))

    async def _fenced(
        self, name: str, keys: Sequence[str], epoch: int, args: Sequence[Any]
    ) -> list[Any]:
        answer: list[Any] = await self._script(name, keys, (self._worker, epoch, *args))
        if answer[0] == _FENCED:
            raise Fenced(self.keys.number)
        return answer

    async def _script(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        return await self._pipe.script(load_script(name), keys, args)
