"""
What Redis says of one conversation, as ``Trace`` fetched it: entries, record, replies, journal.

Plain values without a judgement; ``locate`` makes one of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from shared.endings import Ending
from shared.keys import message_hash
from shared.model import Entry, EntryId, WindowId, window_id
from shared.record import Failure, Record, SendRecord, decode_failures
from shared.window import Rules
from shared.wire import DeadLetter, OutboxReply


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """
    What became of a window (``ids``: its entries) or, where ``what`` is of ``REPLY_ENDS``, of a
    reply.

    ``ref`` is the id of the reply or of the dead letter, if there is one.
    """

    id: EntryId
    what: str
    window_id: WindowId
    ids: tuple[EntryId, ...]
    attempt: int
    ref: EntryId | None
    opened_at: int | None = None
    closed_at: int | None = None
    closed_by: str | None = None
    started_at: int | None = None
    failures: tuple[Failure, ...] = ()


def decode_journal_row(row_id: bytes, values: list[bytes]) -> JournalRow:
    """What ``finish`` and ``sent`` wrote; ``values``: field, value, ... as Redis gives them."""
    fields = dict(zip(values[::2], values[1::2], strict=True))
    ref = fields.get(b"ref")
    return JournalRow(
        id=EntryId.parse(row_id),
        what=fields[b"what"].decode(),
        window_id=WindowId(fields[b"window"].decode()),
        ids=tuple(EntryId.parse(entry_id) for entry_id in fields.get(b"ids", b"").split()),
        attempt=int(fields.get(b"attempt", b"0")),
        ref=EntryId.parse(ref) if ref else None,
        opened_at=_ms(fields.get(b"opened")),
        closed_at=_ms(fields.get(b"closed")),
        closed_by=fields[b"by"].decode() if b"by" in fields else None,
        started_at=_ms(fields.get(b"started")),
        failures=decode_failures(fields.get(b"failed", b"").decode()),
    )


def _ms(value: bytes | None) -> int | None:
    return None if value is None else int(float(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxFound:
    """A reply in the outbox. ``has_channel``: None where that is not known."""

    reply: OutboxReply
    record: SendRecord | None = None
    has_channel: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    What was found of one conversation, all of it within the bounds that ``Trace`` tells.

    ``seen``: hashed message id -> entry id, from dedupe. ``entries``: the user's, unfinished;
    those up to ``scanned_to`` (None: the stream's end) are all there. ``last_read``: what the
    workers have read up to. ``journal`` is oldest first, ``endings`` are by their first entries.
    ``dead``: by the dead letter's id. ``rules``: what shapes the user's windows, where that is
    known; the entries are matched then. ``paused_since``: since when none of them may start.
    """

    instance: str
    user: str
    partition: int
    seen: Mapping[bytes, EntryId]
    entries: Mapping[EntryId, Entry]
    scanned_to: EntryId | None
    last_read: EntryId
    record: Record | None
    outbox: Mapping[EntryId, OutboxFound]
    dead: Mapping[EntryId, DeadLetter]
    journal: tuple[JournalRow, ...]
    endings: tuple[Ending, ...] = ()
    now_ms: int = 0
    muted_until: int | None = None
    rules: Rules | None = None
    paused_since: int | None = None

    def carriers(self, entry_id: EntryId) -> list[EntryId]:
        """The entry and the replays that hand it over again, newest first."""
        replays = (
            carrier.id
            for carrier in self.entries.values()
            if carrier.replayed is not None
            and any(member.id == entry_id for member in carrier.replayed.entries)
        )
        return sorted((entry_id, *replays), reverse=True)

    def members(self) -> list[Entry]:
        """The unfinished messages' own entries; of a replay those that its window had at first."""
        found: list[Entry] = []
        for entry in self.entries.values():
            found += (entry,) if entry.replayed is None else entry.replayed.entries
        return found

    def dead_members(self) -> list[Entry]:
        """The entries of all dead letters."""
        return [
            entry
            for letter in self.dead.values()
            if letter.window is not None
            for entry in letter.window.entries
        ]

    def ending_of(self, entry_id: EntryId) -> Ending | None:
        """What became of the window that a message's own entry was in, where that is remembered."""
        at = bisect_right(self.endings, entry_id, key=lambda ending: ending.first)
        found = self.endings[at - 1] if at else None
        return found if found is not None and entry_id <= found.last else None

    def is_replay(self, window: WindowId, first: EntryId) -> bool:
        """Whether a window of this id that begins with ``first`` had other entries at first."""
        return window != window_id(self.instance, self.user, first)

    def message_ids(self) -> dict[EntryId, str]:
        """The message ids that are known, by entry: dedupe itself keeps only hashes."""
        known = {}
        for found in self.outbox.values():
            for message_id in found.reply.message_ids:
                entry_id = self.seen.get(message_hash(message_id))
                if entry_id is not None:
                    known[entry_id] = message_id
        for entry in (*self.dead_members(), *self.members()):
            known[entry.id] = entry.message.message_id
        return known

    def entry_of(self, message_id: str) -> EntryId | None:
        """The entry of a message, if dedupe, the stream or a dead letter knows it."""
        found = self.seen.get(message_hash(message_id))
        if found is not None:
            return found
        for entry in (*self.members(), *self.dead_members()):
            if entry.message.message_id == message_id:
                return entry.id
        return None
