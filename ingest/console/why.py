"""
Why somebody waits: what a look has found, as reasons, the worst first. Pure.

A message that gathers in an open window does not wait: that is what windows are for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ingest.console.glance import Glance
from shared.survey import StoreSurvey

PATIENCE_S = 2.0
"""So much later than its window allows may the oldest message be, before that is told."""

NAMED = 3
"""Instances that a reason names; of the others it says how many."""

Reason = dict[str, Any]
"""``code``, and what its sentence needs."""


@dataclass(slots=True)
class _Failing:
    """How many windows of whom fail in one way; ``since`` when at the earliest, 0: not known."""

    windows: float = 0
    since: int = 0
    instances: Counter[str] = field(default_factory=Counter)


def why_waiting(
    survey: StoreSurvey, glance: Glance, paused: Sequence[str], longest_wait_ms: int
) -> list[Reason]:
    """
    ``paused``: the instances whose windows must not be started. ``longest_wait_ms``: what the
    slowest instance's windows take to close.
    """
    found = list(_unowned(survey, glance))
    if paused:
        found.append({"code": "paused", **_named(list(paused))})
    found += _failing(survey.now_ms, glance)
    slots = sum(each.doing.slots for each in glance.workers if each.doing is not None)
    running = sum(each.doing.running for each in glance.workers if each.doing is not None)
    if slots and running >= slots:
        found.append({"code": "busy", "slots": slots})
    late_s = survey.oldest_unfinished_s - longest_wait_ms / 1000
    if not found and survey.backlog_messages and late_s > PATIENCE_S:
        found.append(_overdue(survey, glance))
    return found


def count_retrying(glance: Glance) -> int:
    """Windows that wait for their next attempt; where a partition has many, about so many."""
    return round(
        sum(
            part.in_hand * sum(not one.worker for one in part.records) / max(1, len(part.records))
            for part in glance.partitions
        )
    )


def _unowned(survey: StoreSurvey, glance: Glance) -> Iterator[Reason]:
    waiting = [part.messages for part in survey.partitions if not part.owned]
    if not any(worker.state != "draining" for worker in glance.workers):
        yield {"code": "no_worker", "messages": survey.backlog_messages}
    elif waiting:
        yield {"code": "without_owner", "partitions": len(waiting), "messages": sum(waiting)}


def _failing(now_ms: int, glance: Glance) -> Iterator[Reason]:
    """Windows whose last attempt came to nothing, by its kind of error."""
    found: dict[tuple[bool, str], _Failing] = {}
    for part in glance.partitions:
        stands_for = part.in_hand / max(1, len(part.records))
        for record in part.records:
            if not record.worker and record.error:
                failing = found.setdefault((record.since > 0, record.error), _Failing())
                failing.windows += stands_for
                failing.instances[record.instance] += 1
                failing.since = min(failing.since or record.since, record.since or failing.since)
    for (is_away, error), failing in sorted(found.items(), key=lambda one: -one[1].windows):
        yield {
            "code": "unavailable" if is_away else "failing",
            "error": error,
            "windows": round(failing.windows),
            "since_s": max(0, now_ms - failing.since) / 1000 if failing.since else None,
            **_named([name for name, _ in failing.instances.most_common()]),
        }


def _overdue(survey: StoreSurvey, glance: Glance) -> Reason:
    """With a handler, if one of the windows there is as old; else nobody has begun it."""
    oldest_at = survey.now_ms - survey.oldest_unfinished_s * 1000
    running = [one for part in glance.partitions for one in part.records if one.worker]
    if running and (first := min(running, key=lambda one: one.opened_at)).opened_at <= oldest_at:
        since_s = max(0, survey.now_ms - first.started_at) / 1000
        return {"code": "with_handler", "since_s": since_s, **_named([first.instance])}
    return {"code": "overdue", "since_s": survey.oldest_unfinished_s}


def _named(instances: Sequence[str]) -> dict[str, Any]:
    return {"instances": list(instances[:NAMED]), "more": max(0, len(instances) - NAMED)}
