"""
A second cutter, naive on purpose: the window rule as DESIGN.md words it, to judge the product by.

It imports nothing of what it judges. Where the product folds over entries, this one tries every
length that a window may have and asks whether the run may be one; only the longest one that may is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import inf
from typing import NamedTuple, Protocol

from ops.chaos.asking import Asks


class Raw(NamedTuple):
    """
    One entry of one user, as it stands in the stream.

    ``asks``: its text is known to match a pattern, and to ask for that; empty: for nothing.
    """

    ms: int
    seq: int
    message_id: str
    is_replay: bool = False
    asks: Asks = ""


class NaiveRules(Protocol):
    """The settings that shape a window; ``quiet_ms`` 0 is off."""

    @property
    def max_wait_ms(self) -> int: ...  # noqa: D102

    @property
    def max_messages(self) -> int: ...  # noqa: D102

    @property
    def quiet_ms(self) -> int: ...  # noqa: D102

    @property
    def pass_through(self) -> bool: ...  # noqa: D102


class NaiveWindow(NamedTuple):
    """A closed window: its members, why it closed (by ``closed_by``'s names), and when."""

    members: tuple[Raw, ...]
    reason: str
    due_ms: int


def cut_naively(
    entries: Sequence[Raw], rules: NaiveRules, watermark_ms: float = inf
) -> list[NaiveWindow]:
    """The closed windows of one user's entries, all that is older than the watermark given."""
    return list(_windows(tuple(entries), rules, watermark_ms))


def _windows(
    entries: tuple[Raw, ...], rules: NaiveRules, watermark_ms: float
) -> Iterator[NaiveWindow]:
    while entries:
        lengths = range(1, min(len(entries), rules.max_messages) + 1)
        size = max(n for n in lengths if _may_be_one_window(entries[:n], rules))
        members, entries = entries[:size], entries[size:]
        reason, due_ms = _end_of(members, entries[0] if entries else None, rules)
        can_grow = reason in ("max_wait", "quiet") and not entries
        if can_grow and due_ms > watermark_ms:
            return
        yield NaiveWindow(members, reason, due_ms)


def _may_be_one_window(run: tuple[Raw, ...], rules: NaiveRules) -> bool:
    if len(run) == 1:
        return True
    alone = any(entry.is_replay or entry.asks == "bypass" for entry in run)
    ended = any(entry.asks == "flush" for entry in run[:-1])
    too_late = any(entry.ms >= run[0].ms + rules.max_wait_ms for entry in run)
    broken_off = rules.quiet_ms > 0 and any(b.ms >= a.ms + rules.quiet_ms for a, b in pairwise(run))
    return not (rules.pass_through or alone or ended or too_late or broken_off)


def _end_of(members: tuple[Raw, ...], following: Raw | None, rules: NaiveRules) -> tuple[str, int]:
    first, last = members[0], members[-1]
    if first.is_replay:
        return "replay", first.ms
    if last.asks:
        return last.asks, last.ms
    if rules.pass_through:
        return "pass_through", first.ms
    if len(members) == rules.max_messages:
        return "max_messages", last.ms
    limit_ms = first.ms + rules.max_wait_ms
    due_ms = min(limit_ms, last.ms + rules.quiet_ms) if rules.quiet_ms else limit_ms
    comes_alone = following is not None and (following.is_replay or following.asks == "bypass")
    if following is not None and comes_alone and following.ms < due_ms:
        return "flush", following.ms
    return ("quiet" if due_ms < limit_ms else "max_wait"), due_ms
