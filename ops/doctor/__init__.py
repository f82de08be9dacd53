"""
``inturn doctor``: is this Redis fit for inturn, and is all well in it?

Each point is a sentence; a failing one says what it costs and what to do. Nothing is changed.

``examine`` asks, ``judge_server``, ``judge_durability`` and ``judge_data`` say what the answers
mean: a ``point`` each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict

import orjson

from ops.doctor.examine import Examination, examine
from ops.doctor.judge_data import judge_data, judge_meta
from ops.doctor.judge_durability import judge_durability
from ops.doctor.judge_server import judge_append_only, judge_clock, judge_rights, judge_server
from ops.doctor.point import Point, Verdict, fail, ok
from ops.reach import reach_redis
from shared.durability import Durability, SyncState
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.home import find_redis_url
from shared.redis_url import place_of
from shared.settings import Settings, load_settings

_LABELS = {Verdict.OK: "ok  ", Verdict.WARN: "WARN", Verdict.FAIL: "FAIL"}


def examine_store() -> list[Point]:
    """
    Find Redis, ask it everything, and judge.

    Raises:
        StartRefused: wrong settings, or there is no Redis to be found.
    """
    settings = load_settings()
    url = find_redis_url(settings)

    async def ask() -> Examination:
        async with reach_redis(url) as pipe:
            return await examine(pipe, settings)

    try:
        found = asyncio.run(ask())
    except (BrokerUnavailable, BrokerRefused) as error:
        return [judge_silence(str(error), place_of(url))]
    return [ok("reachable", f"Redis answers at {place_of(url)}"), *judge(found, settings)]


def judge(found: Examination, settings: Settings) -> list[Point]:
    """Every point, in the order in which one would mend them."""
    points = [judge_rights(found.rights, may_info=found.info is not None)]
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


def render_text(points: Sequence[Point]) -> str:
    """A line per point; under one that is not ok, what it costs and what to do."""
    width = max(len(point.name) for point in points)
    indent = " " * (len(_LABELS[Verdict.OK]) + width + 4)
    lines = []
    for point in points:
        lines.append(f"{_LABELS[point.verdict]}  {point.name.ljust(width)}  {point.says}")
        if point.costs:
            lines.append(f"{indent}costs: {point.costs}")
        if point.advice:
            lines.append(f"{indent}do: {point.advice}")
    return "\n".join(lines)


def render_json(points: Sequence[Point]) -> str:
    """The same as data."""
    body = {"ok": not has_failed(points), "points": [asdict(point) for point in points]}
    return orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()
