"""Where replies are: in the outbox, or ended; pure, decided from what was found."""

from __future__ import annotations

from shared.endings import REPLY_ENDS, Ending
from shared.model import EntryId, window_id
from shared.trace.evidence import Evidence, JournalRow, OutboxFound
from shared.trace.whereabouts import ReplyState, ReplyTrace, reply_state

_REPLY_ENDS = {
    "sent": ReplyState.SENT,
    "kept": ReplyState.EXPIRED,
    "discarded": ReplyState.DISCARDED,
}
"""What the journal calls the ends of replies, and endings do."""

REPLIES_MAX = 100
"""How many windows of which only endings are left are asked for a reply, the newest."""


def find_reply(evidence: Evidence, reply_id: EntryId, ending: Ending | None) -> ReplyTrace | None:
    """
    A reply that was made; ``ending`` is its window's.

    None: neither journal nor outbox nor the ending tell what became of it.
    """
    for row in evidence.journal:
        if row.what in REPLY_ENDS and row.ref == reply_id:
            return _reply_in_journal(row)
    found = evidence.outbox.get(reply_id)
    if found is not None:
        return reply_in_outbox(reply_id, found)
    return None if ending is None or ending.ref != reply_id else _reply_of(evidence, ending)


def _reply_in_journal(row: JournalRow) -> ReplyTrace:
    assert row.ref is not None
    state = _REPLY_ENDS[row.what]
    return ReplyTrace(reply_id=row.ref, window_id=row.window_id, state=state, at=row.id.ms)


def _reply_of(evidence: Evidence, ending: Ending) -> ReplyTrace | None:
    """A reply that has ended; None: the ending is of none, or says only that it was made."""
    if ending.what not in _REPLY_ENDS:
        return None
    return ReplyTrace(
        reply_id=ending.ref,
        window_id=window_id(evidence.instance, evidence.user, ending.first),
        state=_REPLY_ENDS[ending.what],
        at=ending.ended_at,
    )


def reply_in_outbox(reply_id: EntryId, found: OutboxFound) -> ReplyTrace:
    """A reply that has not ended."""
    record = found.record
    state = reply_state(record)
    if state is ReplyState.WAITING and found.has_channel is False:
        state = ReplyState.KEPT
    return ReplyTrace(
        reply_id=reply_id,
        window_id=found.reply.window_id,
        state=state,
        texts=found.reply.texts,
        metadata=found.reply.metadata or None,
        held=(record and record.held) or None,
        error=(record and record.error) or None,
        attempt=None if record is None else record.attempt,
        retry_at=record.retry_at if record and state is ReplyState.RETRYING else None,
    )


def all_replies(evidence: Evidence) -> tuple[ReplyTrace, ...]:
    """Every reply that something tells of, newest last."""
    ended = [row for row in evidence.journal if row.what in REPLY_ENDS and row.ref is not None]
    traces = {row.ref: _reply_in_journal(row) for row in ended}
    for reply_id, found in evidence.outbox.items():
        traces.setdefault(reply_id, reply_in_outbox(reply_id, found))
    for ending in evidence.endings[-REPLIES_MAX:]:
        if (reply := _reply_of(evidence, ending)) is not None:
            traces.setdefault(reply.reply_id, reply)
    return tuple(sorted(traces.values(), key=lambda trace: trace.reply_id))
