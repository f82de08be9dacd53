"""
Reads what belongs to one conversation out of its partition's keys, within bounds.

One typed method per key. Nothing is written. Rows of other users are skipped by a look at their
bytes and never decoded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import orjson

from shared.connect import Pipe
from shared.endings import Ending, decode_ending
from shared.errors import BrokerRefused, EntryUndecodable
from shared.keys import GROUP, PartitionKeys, conversation_field, conversation_hash, message_hash
from shared.model import Entry, EntryId
from shared.on_human import muted_until
from shared.record import Record, SendRecord, decode_record, decode_send_record
from shared.scripts import load_script
from shared.trace.evidence import JournalRow, decode_journal_row
from shared.wire import DeadLetter, OutboxReply, decode_dead_letter, decode_entry, decode_reply

FIRST_PAGE = 8
"""Rows of the first page, which shows how large they are: a dead letter may hold megabytes."""

PAGE = 500
PAGE_BYTES = 1024 * 1024
"""Later pages hold as many rows as come to about that much, at most ``PAGE``."""

SCAN_ROWS = 1000
"""How many entries, replies and dead letters are looked through, of each key."""

SCAN_BYTES = 4 * 1024 * 1024
"""Past so much of one key no further page is asked for."""

JOURNAL_ROWS = 5000

SEEN_MAX = 10_000
"""Where dedupe knows more of one conversation than that (ids and endings), it is left out."""

ENDINGS_PAGE = 1000
ENDINGS_PAGES = 200
"""How far one message's ending is looked for: among all that 200,000 fields hold."""

NOWHERE = EntryId(0, 0)

Row = tuple[bytes, list[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Rows that may be the conversation's; after ``ended_at`` (None: the key's end) more follow."""

    rows: list[Row]
    ended_at: EntryId | None


def _pairs(flat: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


class Search:
    """The keys of one partition, looked through for one conversation."""

    def __init__(self, pipe: Pipe, keys: PartitionKeys, instance: str, user: str) -> None:
        self._pipe = pipe
        self._keys = keys
        self._instance = instance
        self._user = user
        self._name = orjson.dumps(user)
        self._stream = keys.stream(instance)
        self._seen = [keys.seen(generation, instance, user) for generation in (0, 1)]

    async def seen_message(self, message_id: str) -> dict[bytes, EntryId]:
        """What dedupe knows of one message: its hash -> its entry, or nothing."""
        digest = message_hash(message_id)
        found = await asyncio.gather(*(self._pipe.call("HGET", key, digest) for key in self._seen))
        known = [EntryId.parse(entry_id) for entry_id in found if entry_id is not None]
        return {digest: known[0]} if known else {}

    async def seen_messages(self) -> tuple[dict[bytes, EntryId], list[Ending]]:
        """All that dedupe knows of the conversation: message hash -> entry, and endings."""
        sizes = await asyncio.gather(*(self._pipe.call("HLEN", key) for key in self._seen))
        if sum(sizes) > SEEN_MAX:
            return {}, []
        flats = await asyncio.gather(*(self._pipe.call("HGETALL", key) for key in self._seen))
        seen: dict[bytes, EntryId] = {}
        endings: list[Ending] = []
        for field, value in (pair for flat in flats for pair in _pairs(flat)):
            if value[:1].isdigit():
                seen[field] = EntryId.parse(value)
            elif (ending := decode_ending(field, value)) is not None:
                endings.append(ending)
        return seen, endings

    async def endings_of(self, entry_id: EntryId) -> list[Ending]:
        """What is remembered of the window that a message's own entry was in; of each end of it."""
        found: list[Ending] = []
        for key in self._seen:
            cursor: bytes | int = 0
            for _ in range(ENDINGS_PAGES):
                match = ("MATCH", "[0-9]*-[0-9]*", "COUNT", ENDINGS_PAGE)
                cursor, flat = await self._pipe.call("HSCAN", key, cursor, *match)
                endings = (decode_ending(field, value) for field, value in _pairs(flat))
                found += [one for one in endings if one and one.first <= entry_id <= one.last]
                if int(cursor) == 0:
                    break
        return found

    async def last_read(self) -> EntryId:
        """The last entry of the instance's stream that was given to a worker."""
        try:
            groups = await self._pipe.call("XINFO", "GROUPS", self._stream)
        except BrokerRefused as error:
            if "no such key" in str(error):
                return NOWHERE
            raise
        for group in groups:
            facts = dict(zip(group[::2], group[1::2], strict=True))
            if facts[b"name"] == GROUP:
                return EntryId.parse(facts[b"last-delivered-id"])
        return NOWHERE

    async def entries(self) -> tuple[dict[EntryId, Entry], EntryId | None]:
        """The user's oldest unfinished entries, and where the look at the stream ended."""
        scan = await self._scan("XRANGE", self._stream, "-", self._name, SCAN_ROWS)
        return dict(self._decoded_entries(scan.rows)), scan.ended_at

    async def entries_at(self, ids: Collection[EntryId]) -> dict[EntryId, Entry]:
        """Those of the user's entries of these ids that are still in the stream."""
        return dict(self._decoded_entries(await self._exact(self._stream, ids)))

    async def record(self) -> Record | None:
        """The window that was started and is not finished."""
        field = conversation_field(self._instance, self._user)
        value = await self._pipe.call("HGET", self._keys.running, field)
        return None if value is None else decode_record(value)

    async def mutes(self, mute_ms: int) -> tuple[int, int | None]:
        """Redis's ms, and until when the conversation is muted, by decision or by a person."""
        human = self._keys.human(self._instance, self._user)
        now_ms, *flat = await self._pipe.script(load_script("muted"), (human,), ())
        known = dict(zip(flat[::2], flat[1::2], strict=True))
        field = conversation_field(self._instance, self._user)
        try:
            decided = await self._pipe.call("ZSCORE", self._keys.muted, field)
        except BrokerRefused as error:
            if error.code != "WRONGTYPE":
                raise
            decided = None  # somebody else wrote it: it mutes nobody
        until = max(int(float(decided or 0)), muted_until(known, mute_ms) if mute_ms else 0)
        return now_ms, until if until > now_ms else None

    async def replies(self) -> dict[EntryId, OutboxReply]:
        """The user's newest replies that are not sent."""
        scan = await self._scan("XREVRANGE", self._keys.outbox, "+", self._name, SCAN_ROWS)
        return dict(self._decoded_replies(reversed(scan.rows)))

    async def replies_at(self, ids: Collection[EntryId]) -> dict[EntryId, OutboxReply]:
        """Those of the user's replies of these ids that are still in the outbox."""
        return dict(self._decoded_replies(await self._exact(self._keys.outbox, ids)))

    async def sending(self, ids: Sequence[EntryId]) -> list[SendRecord | None]:
        """The records of replies whose sending has begun, None for the others."""
        if not ids:
            return []
        values = await self._pipe.call("HMGET", self._keys.sending, *map(str, ids))
        return [None if value is None else decode_send_record(value) for value in values]

    async def dead_letters(self) -> dict[EntryId, DeadLetter]:
        """The user's newest dead letters."""
        scan = await self._scan("XREVRANGE", self._keys.dead, "+", self._name, SCAN_ROWS)
        return dict(self._decoded_dead(reversed(scan.rows)))

    async def dead_letters_at(self, ids: Collection[EntryId]) -> dict[EntryId, DeadLetter]:
        """Those of the user's dead letters of these ids that are still there."""
        return dict(self._decoded_dead(await self._exact(self._keys.dead, ids)))

    async def journal_since(self, entry_id: EntryId) -> list[JournalRow]:
        """The conversation's rows from an entry's time on, oldest first."""
        rows = await self._journal("XRANGE", str(entry_id.ms))
        return [decode_journal_row(row_id, values) for row_id, values in rows]

    async def newest_journal(self) -> list[JournalRow]:
        """The conversation's newest rows, oldest first."""
        rows = await self._journal("XREVRANGE", "+")
        return [decode_journal_row(row_id, values) for row_id, values in reversed(rows)]

    async def _journal(self, command: str, start: str) -> list[Row]:
        who = conversation_hash(self._instance, self._user).encode()
        return (await self._scan(command, self._keys.journal, start, who, JOURNAL_ROWS)).rows

    async def _scan(self, command: str, key: str, start: str, needle: bytes, rows_max: int) -> Scan:
        end = "+" if command == "XRANGE" else "-"
        found: list[Row] = []
        rows_seen = bytes_seen = 0
        count = min(FIRST_PAGE, PAGE)
        while True:
            page: list[Row] = await self._pipe.call(command, key, start, end, "COUNT", count)
            found += [row for row in page if any(needle in value for value in row[1])]
            if len(page) < count:
                return Scan(rows=found, ended_at=None)
            rows_seen += len(page)
            bytes_seen += sum(len(value) for _, values in page for value in values)
            last = page[-1][0]
            if rows_seen >= rows_max or bytes_seen >= SCAN_BYTES:
                return Scan(rows=found, ended_at=EntryId.parse(last))
            start = f"({last.decode()}"
            fitting = PAGE_BYTES * rows_seen // max(bytes_seen, 1)
            count = min(PAGE, rows_max - rows_seen, max(fitting, 1))

    async def _exact(self, key: str, ids: Collection[EntryId]) -> list[Row]:
        answers = await asyncio.gather(
            *(self._pipe.call("XRANGE", key, str(one), str(one)) for one in sorted(ids))
        )
        return [row for rows in answers for row in rows]

    def _decoded_entries(self, rows: Iterable[Row]) -> Iterator[tuple[EntryId, Entry]]:
        for row_id, values in rows:
            try:
                entry = decode_entry(self._instance, row_id, values)
            except EntryUndecodable:
                continue
            if entry.message.user == self._user:
                yield entry.id, entry

    def _decoded_replies(self, rows: Iterable[Row]) -> Iterator[tuple[EntryId, OutboxReply]]:
        for row_id, values in rows:
            try:
                reply = decode_reply(values[1])
            except EntryUndecodable:
                continue
            if (reply.instance, reply.user) == (self._instance, self._user):
                yield EntryId.parse(row_id), reply

    def _decoded_dead(self, rows: Iterable[Row]) -> Iterator[tuple[EntryId, DeadLetter]]:
        for row_id, values in rows:
            try:
                letter = decode_dead_letter(values[1])
            except EntryUndecodable:
                continue
            window = letter.window
            if window and (window.instance, window.user) == (self._instance, self._user):
                yield EntryId.parse(row_id), letter
