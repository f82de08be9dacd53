"""
Where a message is and what became of it: pure, decided from what was found.

Evidence is not taken at one moment, so what lies further down the way counts more: the journal
over the record, the record over the stream. A window that was replayed is where its newest
carrier is. What none of them knows is told by the ending that is remembered with the message's id,
or by the reply or the dead letter that is still there: with the same state and time, as far as an
ending tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared.endings import REPLY_ENDS
from shared.kept_letters import LetterId
from shared.model import EntryId, window_id
from shared.record import Failure
from shared.trace.evidence import Evidence, JournalRow
from shared.trace.replies import all_replies, find_reply, reply_in_outbox
from shared.trace.unfinished import first_unstarted, unfinished_windows
from shared.trace.whereabouts import (
    ConversationTrace,
    DeadTrace,
    FailureTrace,
    MessageTrace,
    ReplyState,
    ReplyTrace,
    State,
)

MESSAGES_MAX = 100
"""How many messages of a conversation are told, the newest."""

_SILENCES = {"silent": State.SILENT, "muted": State.MUTED, "with_human": State.WITH_HUMAN}
"""What the journal calls windows that were finished without a reply."""


def locate_message(evidence: Evidence, message_id: str) -> MessageTrace:
    """Where the message of this id is."""
    entry_id = evidence.entry_of(message_id)
    if entry_id is not None:
        return _locate(evidence, entry_id, message_id)
    return _from_outbox(evidence, None, message_id) or MessageTrace(
        state=State.UNKNOWN, message_id=message_id
    )


def locate_conversation(evidence: Evidence) -> ConversationTrace:
    """Where everything of a conversation is."""
    message_ids = evidence.message_ids()
    newest = sorted(_known_entries(evidence))[-MESSAGES_MAX:]
    replies, known = all_replies(evidence), _known_entries(evidence)
    return ConversationTrace(
        messages=tuple(_locate(evidence, one, message_ids.get(one)) for one in newest),
        replies=replies,
        dead=_dead(evidence),
        windows=unfinished_windows(evidence),
        muted_until=evidence.muted_until,
        last_message_at=max((entry.ms for entry in known), default=None),
        last_reply_at=max((reply.reply_id.ms for reply in replies), default=None),
    )


def _known_entries(evidence: Evidence) -> set[EntryId]:
    """Every message's own entry; the carriers of replays are none."""
    known = set(evidence.seen.values())
    known.update(entry.id for entry in (*evidence.members(), *evidence.dead_members()))
    extents = [(row.window_id, row.ids) for row in evidence.journal if row.ids]
    if evidence.record is not None:
        extents.append((evidence.record.window_id, evidence.record.ids))
    for window, ids in extents:
        if not evidence.is_replay(window, ids[0]):
            known.update(ids)
    return known


def _locate(evidence: Evidence, entry_id: EntryId, message_id: str | None) -> MessageTrace:
    for carrier in evidence.carriers(entry_id):
        row = _outcome(evidence, carrier)
        if row is not None:
            return _from_journal(evidence, row, entry_id, message_id)
        record = evidence.record
        if record is not None and carrier in record.ids:
            return _from_record(evidence, entry_id, message_id)
        if carrier in evidence.entries:
            return _from_stream(evidence, carrier, entry_id, message_id)
    found = (
        _from_ending(evidence, entry_id, message_id)
        or _from_outbox(evidence, entry_id, message_id)
        or _from_dead(evidence, entry_id, message_id)
        or MessageTrace(state=State.FINISHED, entry_id=entry_id, message_id=message_id)
    )
    return replace(found, accepted_at=entry_id.ms)


def _outcome(evidence: Evidence, carrier: EntryId) -> JournalRow | None:
    """The newest outcome of the window that an entry was in: a replay may have followed it."""
    windows = {row.window_id for row in evidence.journal if carrier in row.ids}
    rows = [row for row in evidence.journal if row.ids and row.window_id in windows]
    return rows[-1] if rows else None


def _from_journal(
    evidence: Evidence, row: JournalRow, entry_id: EntryId, message_id: str | None
) -> MessageTrace:
    reply = None
    if row.what == "answered" and row.ref is not None:
        reply = find_reply(evidence, row.ref, evidence.ending_of(entry_id))
    return replace(
        _became(evidence, row.what, row.ref or row.id, reply),
        entry_id=entry_id,
        message_id=message_id,
        window_id=row.window_id,
        attempt=row.attempt,
        accepted_at=entry_id.ms,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        closed_by=row.closed_by,
        started_at=row.started_at,
        failures=_failures(row.failures, row.attempt),
    )


def _from_ending(
    evidence: Evidence, entry_id: EntryId, message_id: str | None
) -> MessageTrace | None:
    """The journal of it is over, and what it came to is still remembered."""
    ending = evidence.ending_of(entry_id)
    if ending is None:
        return None
    what, reply = ending.what, None
    if what == "answered" or what in REPLY_ENDS:
        what, reply = "answered", find_reply(evidence, ending.ref, ending)
    return replace(
        _became(evidence, what, ending.ref, reply),
        entry_id=entry_id,
        message_id=message_id,
        window_id=window_id(evidence.instance, evidence.user, ending.first),
    )


def _became(evidence: Evidence, what: str, ref: EntryId, reply: ReplyTrace | None) -> MessageTrace:
    """
    What a window came to, and since when.

    ``ref``: the reply that was made or the dead letter, else the journal's row. The journal and an
    ending say the same here, so that a message's state and time do not change when the journal
    forgets it.
    """
    if what in _SILENCES:
        return MessageTrace(state=_SILENCES[what], at=ref.ms)
    if what == "missing":
        error = "its entries were deleted from the stream"
        return MessageTrace(state=State.FINISHED, at=ref.ms, error=error)
    if what == "dead":
        letter = evidence.dead.get(ref)
        if letter is None:
            return MessageTrace(state=State.DEAD, at=ref.ms)
        return MessageTrace(
            state=State.DEAD,
            at=ref.ms,
            attempt=letter.attempts,
            error=letter.error,
            dead_letter_id=_letter_id(evidence, ref),
        )
    if reply is None:
        return MessageTrace(state=State.FINISHED, at=ref.ms)
    if reply.state is ReplyState.SENT:
        return MessageTrace(state=State.SENT, at=reply.at, reply=reply)
    return MessageTrace(state=State.ANSWERED, at=ref.ms, reply=reply)


def _from_record(evidence: Evidence, entry_id: EntryId, message_id: str | None) -> MessageTrace:
    record = evidence.record
    assert record is not None
    is_running = bool(record.worker)
    return MessageTrace(
        state=State.RUNNING if is_running else State.RETRYING,
        entry_id=entry_id,
        message_id=message_id,
        window_id=record.window_id,
        at=record.started,
        attempt=record.attempt,
        retry_at=None if is_running else record.retry_at,
        accepted_at=entry_id.ms,
        opened_at=record.opened_at,
        closed_at=record.closed_at,
        closed_by=record.closed_by,
        started_at=record.started,
        failures=_failures(record.failures, record.attempt),
        paused_since=None if is_running else evidence.paused_since,
        error=record.error or None,
    )


def _failures(known: Sequence[Failure], attempt: int) -> tuple[FailureTrace, ...] | None:
    """Oldest first; an attempt before the newest of which nothing is written died."""
    told = [FailureTrace(attempt=one.attempt, error=one.error, at=one.at) for one in known]
    numbers = {one.attempt for one in known}
    oldest = min(numbers, default=1)
    silent = [number for number in range(oldest, attempt) if number not in numbers]
    told += [FailureTrace(attempt=number, error="its worker died") for number in silent]
    return tuple(sorted(told, key=lambda one: one.attempt)) or None


def _from_stream(
    evidence: Evidence, carrier: EntryId, entry_id: EntryId, message_id: str | None
) -> MessageTrace:
    record, replayed = evidence.record, evidence.entries[carrier].replayed
    is_read = carrier <= evidence.last_read
    window = None
    if replayed is not None:
        window = replayed.id
    elif carrier == first_unstarted(evidence):
        window = window_id(evidence.instance, evidence.user, carrier)
    return MessageTrace(
        state=State.IN_WINDOW if is_read and record is None else State.WAITING,
        entry_id=entry_id,
        message_id=message_id,
        window_id=window,
        behind=None if record is None else record.window_id,
        accepted_at=entry_id.ms,
        paused_since=evidence.paused_since,
    )


def _from_outbox(
    evidence: Evidence, entry_id: EntryId | None, message_id: str | None
) -> MessageTrace | None:
    """Answered, and the journal of it is over: the reply itself still tells."""
    for reply_id, found in evidence.outbox.items():
        if message_id in found.reply.message_ids:
            return MessageTrace(
                state=State.ANSWERED,
                entry_id=entry_id,
                message_id=message_id,
                window_id=found.reply.window_id,
                at=reply_id.ms,
                reply=reply_in_outbox(reply_id, found),
            )
    return None


def _from_dead(
    evidence: Evidence, entry_id: EntryId, message_id: str | None
) -> MessageTrace | None:
    """Dead, and the journal of it is over: the dead letter itself still tells."""
    for letter_id, letter in evidence.dead.items():
        if letter.window is not None and any(one.id == entry_id for one in letter.window.entries):
            return MessageTrace(
                state=State.DEAD,
                entry_id=entry_id,
                message_id=message_id,
                window_id=letter.window.id,
                at=letter_id.ms,
                attempt=letter.attempts,
                error=letter.error,
                dead_letter_id=_letter_id(evidence, letter_id),
            )
    return None


def _dead(evidence: Evidence) -> tuple[DeadTrace, ...]:
    return tuple(
        DeadTrace(
            dead_letter_id=_letter_id(evidence, letter_id),
            window_id=letter.window.id,
            error=letter.error,
            attempts=letter.attempts,
            message_ids=tuple(entry.message.message_id for entry in letter.window.entries),
        )
        for letter_id, letter in sorted(evidence.dead.items())
        if letter.window is not None
    )


def _letter_id(evidence: Evidence, letter_id: EntryId) -> LetterId:
    return LetterId(letter_id, evidence.partition)
