"""The windows of a conversation that are not finished: pure, decided from what was found."""

from __future__ import annotations

from shared.model import EntryId, window_id
from shared.trace.evidence import Evidence
from shared.trace.whereabouts import WindowState, WindowTrace
from shared.window import first_cut


def first_unstarted(evidence: Evidence) -> EntryId | None:
    """The entry that opens the user's next window, if that is certain."""
    started = () if evidence.record is None else evidence.record.ids
    first = min((one for one in evidence.entries if one not in started), default=None)
    scanned_to = evidence.scanned_to
    is_certain = first is not None and (scanned_to is None or first <= scanned_to)
    return first if is_certain else None


def unfinished_windows(evidence: Evidence) -> tuple[WindowTrace, ...]:
    """What is in hand, and the next one: what else waits belongs to later windows."""
    found = (_in_hand(evidence), _next(evidence))
    return tuple(window for window in found if window is not None)


def _in_hand(evidence: Evidence) -> WindowTrace | None:
    record = evidence.record
    if record is None:
        return None
    return WindowTrace(
        window_id=record.window_id,
        state=WindowState.RUNNING if record.worker else WindowState.RETRYING,
        opened_at=record.opened_at,
        messages=len(record.ids),
        due_at=None if record.worker else record.retry_at,
        attempt=record.attempt,
        paused_since=None if record.worker else evidence.paused_since,
    )


def _next(evidence: Evidence) -> WindowTrace | None:
    first = first_unstarted(evidence)
    if first is None or evidence.rules is None:
        return None
    entries = [entry for entry_id, entry in sorted(evidence.entries.items()) if entry_id >= first]
    cut = first_cut(entries, evidence.rules)
    size = len(entries) if cut.size is None else cut.size
    replayed = entries[0].replayed
    opened = window_id(evidence.instance, evidence.user, first)
    return WindowTrace(
        window_id=opened if replayed is None else replayed.id,
        state=WindowState.CLOSED if cut.closes_at(evidence.now_ms) else WindowState.OPEN,
        opened_at=first.ms if replayed is None else replayed.opened_at,
        messages=size if replayed is None else len(replayed.entries),
        due_at=cut.due_ms,
        paused_since=evidence.paused_since,
    )
