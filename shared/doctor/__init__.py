"""
Is this Redis fit for inturn, and is all well in it?

Each point is a sentence; a failing one says what it costs and what to do. Nothing is changed.

``examine`` asks, ``judge_server``, ``judge_durability`` and ``judge_data`` say what the answers
mean: a ``point`` each. ``report`` tells them, and what is in Redis, as data.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.doctor.examine import Examination
from shared.doctor.judge_data import judge_data, judge_meta
from shared.doctor.judge_durability import judge_durability
from shared.doctor.judge_server import judge_append_only, judge_clock, judge_rights, judge_server
from shared.doctor.point import Point, Verdict, fail
from shared.durability import Durability, SyncState
from shared.settings import Settings


def judge(found: Examination, settings: Settings) -> list[Point]:
    """Every point, in the order in which one would mend them; what was not asked has none."""
    points = []
    if found.rights is not None:
        points.append(judge_rights(found.rights, may_info=found.info is not None))
    if found.info is not None:
        points += judge_server(found.info)
        points.append(judge_append_only(found.info, found.fsync))
        sync = SyncState(
            has_waitaof=found.has_waitaof,
            append_only=found.info.append_only,
            appendfsync=found.fsync,
        )
        points.append(judge_durability(Durability.parse(settings.durability), found.info, sync))
    points.append(judge_clock(found.skew_ms))
    points.append(judge_meta(found.meta, found.meta_problems, settings.prefix))
    if found.data is not None:
        points += judge_data(found.data, settings)
    return points


def judge_silence(error: str, place: str) -> Point:
    """Nothing else can be said of a Redis that does not answer, or does not let us in."""
    return fail(
        "reachable",
        f"Redis at {place} is of no use: {error}",
        "nothing is accepted and nothing is handled",
        "check that it runs there, and address, user and password in INTURN_REDIS_URL",
    )


def has_failed(points: Sequence[Point]) -> bool:
    """Whether a promise is not kept."""
    return any(point.verdict is Verdict.FAIL for point in points)
