"""``inturn doctor``: what is wrong with Redis or the workers, for a person or a program."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from ops.reach import reach_redis
from ops.signals import told_of_ctrl_c
from shared.doctor import has_failed, judge, judge_silence
from shared.doctor.examine import Examination, examine
from shared.doctor.point import Point, Verdict, ok
from shared.doctor.report import DataReport, look_at_data, report_face
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.home import find_redis_url
from shared.redis_url import place_of
from shared.settings import load_settings

_LABELS = {Verdict.OK: "ok  ", Verdict.WARN: "WARN", Verdict.FAIL: "FAIL"}


def diagnose(*, as_json: bool) -> tuple[str, bool]:
    """
    Find Redis, ask it everything, and judge; what to print, and whether no point fails.

    Raises:
        StartRefused: wrong settings, or there is no Redis to be found.
    """
    settings = load_settings()
    url = find_redis_url(settings)

    async def ask() -> tuple[Examination, DataReport | None]:
        async with reach_redis(url) as pipe:
            found = await examine(pipe, settings)
            return found, await look_at_data(pipe, found, settings) if as_json else None

    try:
        with told_of_ctrl_c():
            found, data = asyncio.run(ask())
    except (BrokerUnavailable, BrokerRefused) as error:
        points = [judge_silence(str(error), place_of(url))]
        return _told(points, None, None, as_json=as_json), False
    points = judge(found, settings)
    if not found.silent:
        points.insert(0, ok("reachable", f"Redis answers at {place_of(url)}"))
    return _told(points, found, data, as_json=as_json), not has_failed(points)


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


def render_json(face: dict[str, Any]) -> str:
    """The report as data."""
    return orjson.dumps(face, option=orjson.OPT_INDENT_2).decode()


def _told(
    points: Sequence[Point],
    found: Examination | None,
    data: DataReport | None,
    *,
    as_json: bool,
) -> str:
    return render_json(report_face(points, found, data)) if as_json else render_text(points)
