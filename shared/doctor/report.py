"""
The report: what ``inturn doctor --json`` prints and ``GET /api/v1/report`` answers.

Two looks, one after the other: what the doctor judges, and what is in Redis just then. It names
instances, partitions and workers, and no user.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from shared.backlog_by_instance import InstanceBacklog, backlog_by_instance
from shared.connect import Pipe
from shared.counts import Counts, read_counts
from shared.doctor import has_failed
from shared.doctor.examine import Examination
from shared.doctor.judge_cluster import place_partitions
from shared.doctor.point import Point
from shared.doctor.server import ServerState
from shared.errors import BrokerRefused
from shared.holdings import fullest
from shared.keys import Keys
from shared.server_info import ServerInfo
from shared.settings import Settings
from shared.survey import Kept, StoreSurvey

INSTANCES_MAX = 1000
"""So many instances are named, those with the most to do first; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who works on a partition: a worker, and under which epoch."""

    worker: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """What is under the prefix. ``owners``: by partition, without those that nobody owns."""

    keys: Keys
    survey: StoreSurvey
    kept: Kept
    workers: Mapping[str, str]
    owners: Mapping[int, Owner]
    instances: Sequence[InstanceBacklog]
    counts: Counts


async def look_at_data(pipe: Pipe, found: Examination, settings: Settings) -> DataReport | None:
    """
    Look at everything that an examination has found; None: there are no data, or no right to look.

    Raises:
        BrokerUnavailable: no answer.
    """
    if found.data is None:
        return None
    survey, workers = found.data.survey, found.data.workers
    keys = Keys(settings.prefix, len(survey.partitions))
    try:
        owners, instances, counts = await asyncio.gather(
            find_owners(pipe, keys),
            backlog_by_instance(pipe, keys, workers),
            read_counts(pipe, keys),
        )
    except BrokerRefused:
        return None
    return DataReport(
        keys=keys,
        survey=survey,
        kept=found.data.kept,
        workers=workers,
        owners=owners,
        instances=instances,
        counts=counts,
    )


async def find_owners(pipe: Pipe, keys: Keys) -> dict[int, Owner]:
    """Who holds which partition's lease now."""
    parts = [keys.partition(number) for number in range(keys.partitions)]
    leases = await asyncio.gather(
        *(pipe.call("HMGET", part.lease, "owner", "epoch") for part in parts)
    )
    return {
        part.number: Owner(worker=owner.decode(), epoch=int(epoch or 0))
        for part, (owner, epoch) in zip(parts, leases, strict=True)
        if owner is not None
    }


def report_face(
    points: Sequence[Point], found: Examination | None, data: DataReport | None
) -> dict[str, Any]:
    """The report as JSON has it; what could not be found out is null."""
    return {
        "ok": not has_failed(points),
        "points": [asdict(point) for point in points],
        "redis": None if found is None else _fullest(found.servers),
        "nodes": [] if found is None or not found.is_cluster else _nodes(found, data),
        "data": None if data is None else _data(data),
    }


def _fullest(servers: Sequence[ServerState]) -> dict[str, Any] | None:
    """The one server; of a cluster's the one that will be full first."""
    telling = [(server.info, server) for server in servers if server.info is not None]
    if not telling:
        return None
    first = fullest([info for info, _ in telling])
    return next(_server(info, server) for info, server in telling if info is first)


def _nodes(found: Examination, data: DataReport | None) -> list[dict[str, Any]]:
    """A cluster's masters; ``redis`` is null of one that told nothing."""
    keys = None if data is None else data.keys
    return [
        {
            "place": server.place,
            "redis": _fullest([server]),
            "partitions": [] if keys is None else _placed_at(server, keys),
        }
        for server in found.servers
    ]


def _placed_at(server: ServerState, keys: Keys) -> list[int]:
    own = server.own
    return [] if own is None else sorted(place_partitions([own], keys))


def _server(info: ServerInfo, found: ServerState) -> dict[str, Any]:
    return {
        "version": info.name,
        "memory_used_bytes": info.number("used_memory"),
        "memory_max_bytes": info.number("maxmemory"),
        "eviction_policy": info.eviction_policy or None,
        "append_only": info.append_only,
        "appendfsync": found.fsync,
        "replicas": info.online_replicas,
        "clock_skew_ms": found.skew_ms,
    }


def _data(data: DataReport) -> dict[str, Any]:
    survey, instances = data.survey, data.instances
    return {
        "at": survey.now_ms,
        "backlog_messages": survey.backlog_messages,
        "oldest_unfinished_s": survey.oldest_unfinished_s,
        "instances": [asdict(one) for one in instances[:INSTANCES_MAX]],
        "instances_left_out": max(0, len(instances) - INSTANCES_MAX),
        "orphans_found": sum(one.orphans for one in instances),
        "orphans_reclaimed": data.counts.reclaimed,
        "dead_workers_removed": data.counts.workers_removed,
        "dead_letters": data.kept.dead_letters,
        "replies_unsent": data.kept.replies,
        "workers": [{"worker": name, "state": state} for name, state in data.workers.items()],
        "partitions": [
            {
                "partition": part.number,
                "owner": None if owner is None else owner.worker,
                "epoch": None if owner is None else owner.epoch,
                "messages": part.messages,
                "oldest_at": part.oldest_at,
            }
            for part in survey.partitions
            for owner in (data.owners.get(part.number),)
        ],
    }
