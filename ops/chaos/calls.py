"""What calls of the handler say of each other: which came again, together or late, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import inf

from ops.chaos.evidence import Call, Delivered, Evidence, Who

FINISH_S = 1.0
"""After the handler's answer a finish is on its way for so long, even on a busy machine."""


def by_user(evidence: Evidence) -> dict[Who, dict[str, tuple[str, ...]]]:
    """
    Each user's windows with their members, in the order of their first calls.

    A dead window that no call was made for (each attempt died before it) stands where its first
    message was sent.
    """
    found: dict[Who, dict[str, tuple[str, ...]]] = defaultdict(dict)
    for call in evidence.calls:
        found[call.who].setdefault(call.window_id, call.members)
    for letter in evidence.dead:
        windows = list(found[letter.who].items())
        if letter.window_id in found[letter.who]:
            continue
        mine = _number(evidence, letter.members)
        later = (n for n, (_, members) in enumerate(windows) if _number(evidence, members) > mine)
        windows.insert(next(later, len(windows)), (letter.window_id, letter.members))
        found[letter.who] = dict(windows)
    return found


def _number(evidence: Evidence, members: tuple[str, ...]) -> int:
    sent = evidence.sent.get(members[0]) if members else None
    return sent.number if sent else 0


def answered_late(evidence: Evidence) -> Iterator[Delivered]:
    """Replies that arrived, for the first time, after one of a later window of their user."""
    found = by_user(evidence)
    latest: dict[Who, int] = {}
    seen: set[str] = set()
    for reply in evidence.delivered:
        number = _number(evidence, found[reply.who].get(reply.window_id, ()))
        if reply.window_id not in seen and number < latest.get(reply.who, 0):
            yield reply
        seen.add(reply.window_id)
        latest[reply.who] = max(number, latest.get(reply.who, 0))


def repeated(evidence: Evidence) -> Iterator[tuple[Call, Call]]:
    """Each call of a window with the one before it."""
    last: dict[str, Call] = {}
    for call in evidence.calls:
        if call.window_id in last:
            yield last[call.window_id], call
        last[call.window_id] = call


def overlapping(evidence: Evidence) -> Iterator[tuple[Call, Call]]:
    """Pairs of calls of one user, the later of which began while the earlier was in hand."""
    at_work: dict[Who, list[Call]] = defaultdict(list)
    for call in evidence.calls:
        others = [c for c in at_work[call.who] if _in_hand_until(evidence, c) > call.began_s]
        for earlier in others:
            yield earlier, call
        at_work[call.who] = [*others, call]


def _in_hand_until(evidence: Evidence, call: Call) -> float:
    """When the call's answer was given or its worker was killed, whichever came first."""
    ends = [d.began_s for d in evidence.disturbances if d.kills and call.worker in d.victims]
    return min([call.ended_s if call.ended_s is not None else inf, *ends])


def late(evidence: Evidence) -> list[Call]:
    """
    Calls that came after a later attempt of their window: the caller was taken for dead.

    A worker that is stopped between its last look at its lease and the sending of its request
    makes such a call when it wakes; its result is refused.
    """
    found: list[Call] = []
    newest: dict[str, int] = {}
    for call in evidence.calls:
        if call.attempt < newest.get(call.window_id, 0):
            found.append(call)
        newest[call.window_id] = max(call.attempt, newest.get(call.window_id, 0))
    return found


def is_explained(evidence: Evidence, earlier: Call, later: Call) -> bool:
    """Whether a disturbance can have revoked the earlier call's token, or the late later one's."""
    if any(later is call for call in late(evidence)):
        since_s = earlier.began_s
        return any(d.touches(later.worker, since_s, later.began_s) for d in evidence.disturbances)
    ended_s = inf if earlier.ended_s is None else earlier.ended_s
    until_s = min(later.began_s, ended_s + FINISH_S)
    return any(d.touches(earlier.worker, earlier.began_s, until_s) for d in evidence.disturbances)


def deaths(evidence: Evidence, since_s: float, until_s: float) -> int:
    """How often processes were killed, or taken for dead as they may have been, in that span."""
    return sum(
        d.is_like_death and d.may_end_within(since_s, until_s) for d in evidence.disturbances
    )
