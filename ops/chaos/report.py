"""
What a run has come to, in one row: counted in messages, in the same way for whatever was run.

    lost       accepted, and in no window that was answered, nor kept as given up
    repeated   in more than one call of the handler, though the first had not failed
    reordered  handled after a message that its user had sent later
    split      handed over before its window's time, or in more than one window
"""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields

from ops.chaos.checks import Problem, lost
from ops.chaos.evidence import Call, Evidence, Who
from ops.chaos.rules import Rules

EARLY_S = 0.25
"""So much earlier than its time a window is split for sure, whatever the machine's load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run; ``recovery_s``: until others had what a killed worker had, the longest."""

    name: str
    sent: int
    accepted: int
    handled: int
    repeated: int
    lost: int
    reordered: int
    split: int
    recovery_s: float | None

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, reordered or split."""
        return not (self.lost or self.reordered or self.split)


def make_row(name: str, evidence: Evidence, rules: Rules, recoveries_s: Sequence[float]) -> Row:
    """Count."""
    calls: dict[str, list[Call]] = defaultdict(list)
    for call in evidence.calls:
        for member in set(call.members):
            calls[member].append(call)
    return Row(
        name=name,
        sent=len(evidence.sent),
        accepted=sum(sent.is_accepted for sent in evidence.sent.values()),
        handled=len(calls),
        repeated=sum(any(not c.failed for c in made[:-1]) for made in calls.values()),
        lost=sum(1 for _ in lost(evidence, rules)),
        reordered=_count_reordered(evidence),
        split=len(_split(evidence, rules, calls)),
        recovery_s=max(recoveries_s, default=None),
    )


def _count_reordered(evidence: Evidence) -> int:
    newest: dict[Who, int] = defaultdict(int)
    seen: set[str] = set()
    count = 0
    for call in evidence.calls:
        for member in call.members:
            number = evidence.sent[member].number if member in evidence.sent else 0
            if member not in seen and number < newest[call.who]:
                count += 1
            newest[call.who] = max(newest[call.who], number)
            seen.add(member)
    return count


def _split(evidence: Evidence, rules: Rules, calls: dict[str, list[Call]]) -> set[str]:
    found = {m for m, made in calls.items() if len({call.window_id for call in made}) > 1}
    shortest_s = rules.max_wait_ms / 1000 - EARLY_S
    at_once = _ends_at_once(evidence)
    for call in evidence.calls:
        first = evidence.sent.get(call.members[0])
        waited_s = call.began_s - first.posts[0].began_s if first and first.posts else shortest_s
        if len(call.members) >= rules.max_messages or call.members[-1] in at_once:
            continue
        if waited_s < shortest_s:
            found.update(call.members)
    return found


def _ends_at_once(evidence: Evidence) -> set[str]:
    """Messages behind which a window may close early: those that ask, and those before commands."""
    found: set[str] = set()
    before: dict[Who, str] = {}
    for sent in sorted(evidence.sent.values(), key=lambda one: one.number):
        if sent.asks:
            found.add(sent.message_id)
        if sent.asks == "bypass" and sent.who in before:
            found.add(before[sent.who])
        before[sent.who] = sent.message_id
    return found


def document(seed: int, rows: Sequence[Row], problems: Sequence[Problem]) -> str:
    """The same as JSON, with every problem of inturn's."""
    told = [{"check": one.check, "text": one.text} for one in problems]
    whole = {"seed": seed, "rows": [asdict(row) for row in rows], "problems": told}
    return json.dumps(whole, indent=2)


def render(rows: Sequence[Row]) -> str:
    """A table for people."""
    names = [field.name for field in fields(Row)]
    lines = [["" if name == "name" else name.replace("_s", ", s") for name in names]]
    lines += [[_cell(value) for value in astuple(row)] for row in rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(names))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def machine(redis_version: str) -> str:
    """What it ran on."""
    cores = os.cpu_count()
    return (
        f"{cores} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, Redis {redis_version}"
    )
