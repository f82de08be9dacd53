"""
Every check of the ledger: a pure function from the evidence to what is wrong, in words.

``judge`` runs them all. What a fault may cause (a repeated call, a call that outlived its token,
a reply sent twice) is a problem only where no disturbance explains it; how often it happened is
counted by ``ops.chaos.tally``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from math import inf
from typing import NamedTuple

from ops.chaos.afterwards import growth, leaks, undrained
from ops.chaos.calls import (
    FINISH_S,
    answered_late,
    by_user,
    deaths,
    is_explained,
    overlapping,
    repeated,
)
from ops.chaos.cutter import cut_naively
from ops.chaos.evidence import Evidence
from ops.chaos.rules import Check, Rules


class Problem(NamedTuple):
    """A promise that was broken: the check's name, and what was found."""

    check: str
    text: str


def lost(evidence: Evidence, rules: Rules) -> Iterator[str]:
    """Accepted, and in no window whose reply arrived, and no dead letter."""
    done = {letter.window_id for letter in evidence.dead}
    done |= {reply.window_id for reply in evidence.delivered}
    if not rules.has_channel:
        done |= set(evidence.outbox)
    kept = {member for letter in evidence.dead for member in letter.members}
    direct = _direct(evidence, rules)
    for call in evidence.calls:
        is_over = call.window_id in direct and not call.failed and call.ended_s is not None
        if call.window_id in done or (is_over and not rules.has_channel):
            kept.update(call.members)
    for sent in evidence.sent.values():
        if sent.is_accepted and sent.message_id not in kept:
            yield f"{sent.message_id} of {sent.who} was accepted and never finished"


def invented(evidence: Evidence, _rules: Rules) -> Iterator[str]:
    """Handled, but never sent, or refused with 4xx."""
    for call in evidence.calls:
        for member in call.members:
            sent = evidence.sent.get(member)
            if sent is None:
                yield f"{member} was handled in {call.window_id} and never sent"
            elif sent.is_refused:
                yield f"{member} was handled in {call.window_id} and refused with 4xx"
            elif sent.who != call.who:
                yield f"{member} of {sent.who} was handled as one of {call.who}"


def _direct(evidence: Evidence, rules: Rules) -> set[str]:
    """The windows that were handled without Redis: their messages have no entries."""
    if not rules.is_direct:
        return set()
    known = {entry.message_id for raw in evidence.raw.values() for entry in raw}
    return {
        call.window_id
        for call in evidence.calls
        if call.closed_by == "bypass" and known.isdisjoint(call.members)
    }


def entries(evidence: Evidence, rules: Rules) -> Iterator[str]:
    """Not exactly one entry per message id that is accepted (none where it was handled direct)."""
    yield from evidence.mistakes
    direct = _direct(evidence, rules)
    known = {entry.message_id for raw in evidence.raw.values() for entry in raw}
    known |= {m for call in evidence.calls if call.window_id in direct for m in call.members}
    for sent in evidence.sent.values():
        if sent.is_accepted and sent.message_id not in known:
            yield f"{sent.message_id} of {sent.who} was accepted and has no entry"
    for who, raw in evidence.raw.items():
        for message_id, count in Counter(entry.message_id for entry in raw).items():
            if count > 1:
                yield f"{message_id} of {who} has {count} entries"


def windows(evidence: Evidence, _rules: Rules) -> Iterator[str]:
    """More than one window per message."""
    windows_of: dict[str, set[str]] = defaultdict(set)
    for found in by_user(evidence).values():
        for window_id, members in found.items():
            for member in members:
                windows_of[member].add(window_id)
    for member, ids in windows_of.items():
        if len(ids) > 1:
            yield f"{member} is in {sorted(ids)}"


def extents(evidence: Evidence, _rules: Rules) -> Iterator[str]:
    """More than one extent per window id, over every call, crashed ones too."""
    seen: dict[str, tuple[str, ...]] = {}
    for call in evidence.calls:
        if seen.setdefault(call.window_id, call.members) != call.members:
            yield f"{call.window_id} was {seen[call.window_id]}, then {call.members}"
    for letter in evidence.dead:
        if seen.setdefault(letter.window_id, letter.members) != letter.members:
            yield f"{letter.window_id} was {seen[letter.window_id]}, dead as {letter.members}"


def order(evidence: Evidence, _rules: Rules) -> Iterator[str]:
    """A user's messages are not handled, or not answered, in the order of their sending."""
    for reply in answered_late(evidence):
        yield f"the reply of {reply.window_id} came after a later one of {reply.who}"
    for who, found in by_user(evidence).items():
        numbers = [
            evidence.sent[member].number
            for members in found.values()
            for member in members
            if member in evidence.sent
        ]
        if any(b < a for a, b in pairwise(numbers)):
            yield f"{who} was handled in the order {numbers}"


def overlaps(evidence: Evidence, _rules: Rules) -> Iterator[str]:
    """Two calls of a user at once, and nothing explains that the first had lost its token."""
    for earlier, later in overlapping(evidence):
        if not is_explained(evidence, earlier, later):
            yield (
                f"{earlier.who}: {later.window_id} was called by {later.worker} while "
                f"{earlier.worker} had {earlier.window_id}"
            )


def replies(evidence: Evidence, _rules: Rules) -> Iterator[str]:
    """Not exactly one reply in the outbox per window that is finished."""
    dead = {letter.window_id for letter in evidence.dead}
    handled = {call.window_id for call in evidence.calls}
    for window_id, count in evidence.outbox.items():
        if count > 1:
            yield f"{window_id} has {count} replies in the outbox"
        if window_id in dead:
            yield f"{window_id} has a reply and a dead letter"
        if window_id not in handled:
            yield f"{window_id} has a reply and was never handled"
    for letter, count in Counter(letter.window_id for letter in evidence.dead).items():
        if count > 1:
            yield f"{letter} has {count} dead letters"


def sends(evidence: Evidence, rules: Rules) -> Iterator[str]:
    """A reply never sent, sent to somebody else, or again though nothing explains it."""
    who_of = {call.window_id: call.who for call in evidence.calls}
    for reply in evidence.delivered:
        if who_of.get(reply.window_id, reply.who) != reply.who:
            yield f"the reply of {reply.window_id} was sent to {reply.who}"
    arrived = defaultdict(list)
    for reply in evidence.delivered:
        arrived[reply.window_id].append(reply)
    for window_id, times in arrived.items():
        for a, b in pairwise(times):
            until_s = min(b.at_s, a.at_s + FINISH_S)
            touching = (
                # the first one did not get to say so; or the second one was stopped between its
                # last look at its trust and its request, as in ``calls.late``
                d.touches(a.worker, a.at_s, until_s) or d.touches(b.worker, a.at_s, b.at_s)
                for d in evidence.disturbances
            )
            if not any(touching):
                yield f"the reply of {window_id} was sent again by {b.worker}"
    if rules.has_channel:
        for window_id in evidence.outbox.keys() - arrived.keys():
            yield f"the reply of {window_id} was never sent"


def cuts(evidence: Evidence, rules: Rules) -> Iterator[str]:
    """The windows are not those that the independent cutter cuts from the raw stream."""
    if rules.clocks_touched or rules.is_steered:
        return
    handed = by_user(evidence)
    for who, raw in evidence.raw.items():
        got = list(handed.get(who, {}).values())
        cut = cut_naively(sorted(raw), rules)
        wanted = [tuple(entry.message_id for entry in window.members) for window in cut]
        if got != wanted:
            yield f"{who} was cut {got}, not {wanted}"


def repeats(evidence: Evidence, _rules: Rules) -> Iterator[str]:
    """A window was handed over again, and neither an error nor a fault explains it."""
    for earlier, later in repeated(evidence):
        if not earlier.failed and not is_explained(evidence, earlier, later):
            answered_s = later.began_s - (earlier.ended_s or later.began_s)
            yield (
                f"{later.window_id} was called again by {later.worker}, attempt {later.attempt}, "
                f"{answered_s:.2f} s after {earlier.worker} had answered it, attempt "
                f"{earlier.attempt}"
            )


def attempts(evidence: Evidence, rules: Rules) -> Iterator[str]:
    """An attempt was counted that nobody made, or a window was given up before its last one."""
    made: Counter[str] = Counter()
    for call in evidence.calls:
        first = evidence.sent.get(call.members[0])
        since_s = first.posts[0].began_s if first and first.posts else 0.0
        died = deaths(evidence, since_s, call.began_s)
        if call.attempt > 1 + made[call.window_id] + died:
            yield f"{call.window_id} had attempt {call.attempt} after {made[call.window_id]} calls"
        made[call.window_id] += 1
    died = deaths(evidence, 0.0, inf)
    for letter in evidence.dead:
        if made[letter.window_id] + died < rules.max_attempts:
            yield f"{letter.window_id} was given up after {made[letter.window_id]} calls"


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        lost,
        invented,
        entries,
        windows,
        extents,
        order,
        overlaps,
        replies,
        sends,
        cuts,
        repeats,
        attempts,
        undrained,
        growth,
        leaks,
    )
}


def judge(evidence: Evidence, rules: Rules) -> list[Problem]:
    """Everything that the promises forbid."""
    return [
        Problem(name, text) for name, check in CHECKS.items() for text in check(evidence, rules)
    ]
