"""Whether this server can keep what ``DURABILITY`` promises. Pure: words in, a point out."""

from __future__ import annotations

from shared.doctor.point import Point, fail, ok, warn
from shared.durability import Durability, Level, SyncState
from shared.server_info import ServerInfo

NAME = "durability"

_REFUSED = "Redis takes no message: ingest does what ON_OUTAGE says"


def judge_durability(durability: Durability, info: ServerInfo, sync: SyncState) -> Point:
    """The setting against the server that is reached now."""
    if durability.level is Level.REPLICAS:
        return _judge_replicas(durability.replicas, info.online_replicas)
    if durability.level is Level.FSYNC:
        return _judge_sync(sync)
    return ok(NAME, "memory: accepted is what Redis has answered; append_only says what survives")


def _judge_replicas(wanted: int, online: int) -> Point:
    if online < wanted:
        return fail(
            NAME,
            f"replicas:{wanted} is set, and {online} replicas are online",
            _REFUSED,
            "start a replica, or set INTURN_DURABILITY lower",
        )
    if online == wanted:
        return warn(
            NAME,
            f"replicas:{wanted} is set, and exactly {online} are online",
            "while one of them is away, no message is accepted",
            "run one replica more than the setting asks for",
        )
    return ok(NAME, f"replicas:{wanted}: each message is in {wanted} of {online} replicas")


def _judge_sync(sync: SyncState) -> Point:
    if sync.problem:
        return fail(
            NAME,
            f"fsync is set, but {sync.problem}",
            f"services do not start; where they run, {_REFUSED}",
            "set appendonly yes and appendfsync always",
        )
    if sync.appendfsync == "everysec":
        return warn(
            NAME,
            "fsync is set, and appendfsync is everysec: each batch waits for the next sync",
            "every message is accepted a tenth of a second later than it could be",
            "set appendfsync always",
        )
    return ok(NAME, "fsync: each message is synced to disk before it is accepted")
