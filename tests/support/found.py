"""What a trace may have found of a window of two messages, for the tests of what it says then."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from shared.keys import message_hash
from shared.model import (
    ClosedBy,
    Entry,
    EntryId,
    Message,
    Token,
    Window,
    WorkerId,
    window_id,
)
from shared.record import Record, SendRecord
from shared.trace.evidence import Evidence, JournalRow, OutboxFound
from shared.wire import DeadLetter, OutboxReply

INSTANCE, USER = "shop", "491700000001"
FIRST, SECOND, THIRD = EntryId(1000, 0), EntryId(1001, 0), EntryId(1002, 0)
CARRIER = EntryId(5000, 0)
REPLY, LETTER = EntryId(9000, 0), EntryId(9100, 0)
WINDOW = window_id(INSTANCE, USER, FIRST)


def entry(entry_id: EntryId, message_id: str, replayed: Window | None = None) -> Entry:
    """An entry of the user."""
    message = Message(instance=INSTANCE, user=USER, message_id=message_id, received_at=1)
    return Entry(id=entry_id, message=message, replayed=replayed)


WHOLE = Window(
    id=WINDOW,
    instance=INSTANCE,
    user=USER,
    entries=(entry(FIRST, "m1"), entry(SECOND, "m2")),
    closed_by=ClosedBy.MAX_WAIT,
    opened_at=1000,
    closed_at=9000,
)
STREAM = {one.id: one for one in WHOLE.entries}
SEEN = {message_hash("m1"): FIRST, message_hash("m2"): SECOND}
DEAD = DeadLetter(window=WHOLE, error="HTTP 400", attempts=3, instance=INSTANCE)


def evidence(**found: Any) -> Evidence:
    """Two messages that dedupe knows, and what else a test has found."""
    nothing: dict[str, Any] = {
        "entries": {},
        "scanned_to": None,
        "last_read": THIRD,
        "record": None,
        "outbox": {},
        "dead": {},
        "journal": (),
    }
    return Evidence(instance=INSTANCE, user=USER, partition=3, **{"seen": SEEN, **nothing, **found})


def record(worker: str = "w", **fields: Any) -> Record:
    """A started window of both messages."""
    return structs.replace(
        Record(
            ids=(FIRST, SECOND),
            window_id=WINDOW,
            closed_by=ClosedBy.MAX_WAIT,
            opened_at=1000,
            closed_at=9000,
            token=Token("t"),
            worker=WorkerId(worker),
            attempt=2,
        ),
        **fields,
    )


def row(what: str, ref: EntryId | None = None, *ids: EntryId, ms: int = 9000) -> JournalRow:
    """A row of the journal; of a window unless there are no ``ids``."""
    return JournalRow(id=EntryId(ms, 0), what=what, window_id=WINDOW, ids=ids, attempt=2, ref=ref)


def in_outbox(send_record: SendRecord | None = None, **found: Any) -> dict[EntryId, OutboxFound]:
    """The reply to both messages."""
    reply = OutboxReply(
        window_id=WINDOW,
        instance=INSTANCE,
        user=USER,
        texts=("hello",),
        provider=None,
        reply_to=None,
        message_ids=("m1", "m2"),
        metadata={"needsDataCollection": True},
    )
    return {REPLY: OutboxFound(reply=reply, record=send_record, **found)}
