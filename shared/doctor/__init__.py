"""
Is this Redis fit for inturn, and is all well in it?

Each point is a sentence; a failing one says what it costs and what to do. Nothing is changed.

``examine`` asks, each ``server`` and the data; ``judge_server``, ``judge_durability``,
``judge_cluster`` and ``judge_data`` say what the answers mean: a ``point`` each. ``report`` tells
them, and what is in Redis, as data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from shared.doctor.examine import Examination
from shared.doctor.judge_cluster import judge_cluster
from shared.doctor.judge_data import judge_data, judge_meta
from shared.doctor.judge_durability import judge_durability
from shared.doctor.judge_server import judge_append_only, judge_clock, judge_rights, judge_server
from shared.doctor.point import Point, Verdict, fail
from shared.doctor.server import ServerState
from shared.durability import Durability, SyncState
from shared.keys import Keys
from shared.settings import Settings

_GRAVITY = (Verdict.OK, Verdict.WARN, Verdict.FAIL)


def judge(found: Examination, settings: Settings) -> list[Point]:
    """Every point, in the order in which one would mend them; what was not asked has none."""
    points = [judge_absence(each.silence or "", each.place) for each in found.silent]
    answering = [server for server in found.servers if server.silence is None]
    points += merge_points([(s.place, judge_one(s, settings)) for s in answering])
    if found.is_cluster:
        partitions = settings.partitions
        if found.data is not None:
            partitions = len(found.data.survey.partitions)
        points += judge_cluster(answering, Keys(settings.prefix, partitions))
    if found.meta is not None or not found.silent:
        points.append(judge_meta(found.meta, found.meta_problems, settings.prefix))
    if found.data is not None:
        points += judge_data(found.data, settings)
    return points


def judge_one(server: ServerState, settings: Settings) -> list[Point]:
    """What one server's answers mean."""
    points = []
    if server.rights is not None:
        points.append(judge_rights(server.rights, may_info=server.info is not None))
    if server.info is not None:
        points += judge_server(server.info, asked_as_cluster=bool(server.place))
        points.append(judge_append_only(server.info, server.fsync))
        sync = SyncState(
            has_waitaof=server.has_waitaof,
            append_only=server.info.append_only,
            appendfsync=server.fsync,
        )
        points.append(judge_durability(Durability.parse(settings.durability), server.info, sync))
    points.append(judge_clock(server.skew_ms))
    return points


def merge_points(told: Iterable[tuple[str, Sequence[Point]]]) -> list[Point]:
    """
    A point of each name. Of several servers the gravest, and what all that are as grave say; cost
    and cure are those of the first.
    """
    by_name: defaultdict[str, list[tuple[str, Point]]] = defaultdict(list)
    for place, points in told:
        for point in points:
            by_name[point.name].append((place, point))
    merged = []
    for said in by_name.values():
        worst = max((point for _, point in said), key=lambda one: _GRAVITY.index(one.verdict))
        alike = [(place, point) for place, point in said if point.verdict is worst.verdict]
        merged.append(replace(worst, says=_says_all(alike, len(said))))
    return merged


def judge_silence(error: str, place: str) -> Point:
    """Nothing else can be said of a Redis that does not answer, or does not let us in."""
    return fail(
        "reachable",
        f"Redis at {place} is of no use: {error}",
        "nobody is answered; ingest does what ON_OUTAGE says: it spools, by default",
        "check that it runs there, and address, user and password in INTURN_REDIS_URL",
    )


def judge_absence(error: str, place: str) -> Point:
    """One of a cluster does not answer: the others are asked all the same."""
    return fail(
        "reachable",
        f"the master at {place} is of no use: {error}",
        "the messages in its partitions wait, and for these ingest does what ON_OUTAGE says",
        "start it, or see why none of its replicas has taken its place",
    )


def has_failed(points: Sequence[Point]) -> bool:
    """Whether a promise is not kept."""
    return any(point.verdict is Verdict.FAIL for point in points)


def _says_all(alike: Sequence[tuple[str, Point]], servers: int) -> str:
    """Once where all say the same, else by place."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for place, point in alike:
        places[point.says].append(place)
    if len(places) == 1 and len(alike) == servers:
        return alike[0][1].says
    return "; ".join(f"{', '.join(where)}: {says}" for says, where in places.items())
