"""What a server says of itself, judged by inturn's promises. Pure: words in, points out."""

from __future__ import annotations

from shared.doctor.point import Point, fail, ok, warn
from shared.doctor.server import Rights
from shared.server_info import ServerInfo
from shared.settings import MiB

MEMORY_WARN = 0.80
MEMORY_FAIL = 0.95
"""Of ``maxmemory``. Appends are refused at 1.0; bursts of a few seconds fit into the last 5 %."""

HOST_MEMORY_WARN = 0.75

SKEW_WARN_MS = 2000
SKEW_FAIL_MS = 300_000
"""Providers sign a time, and five minutes either way are accepted (Standard Webhooks, Slack)."""


def judge_server(info: ServerInfo, *, asked_as_cluster: bool) -> list[Point]:
    """Everything that INFO tells."""
    return [
        judge_version(info),
        judge_role(info),
        *([] if asked_as_cluster else [judge_mode(info)]),
        judge_eviction(info),
        judge_disk(info),
        judge_memory(info),
    ]


def judge_version(info: ServerInfo) -> Point:
    """6.2 is the floor."""
    if info.is_too_old:
        return fail(
            "version",
            f"{info.name} is older than 6.2",
            "services do not start: it lacks XAUTOCLAIM, without which crashes lose messages",
            "install Redis 6.2 or newer, or Valkey",
        )
    return ok("version", info.name)


def judge_role(info: ServerInfo) -> Point:
    """Only a primary takes writes."""
    if info.is_sentinel or info.is_replica:
        what = "a Sentinel" if info.is_sentinel else "a replica"
        return fail(
            "primary",
            f"this is {what}, not a primary",
            "no message can be written: ingest does what ON_OUTAGE says",
            "set INTURN_REDIS_URL to the primary",
        )
    return ok("primary", f"a primary with {info.number('connected_slaves')} replicas")


def judge_mode(info: ServerInfo) -> Point:
    """A node of a cluster has but a part of the keys."""
    if info.is_cluster:
        return fail(
            "cluster",
            "this is a node of a Redis Cluster, and is asked as if it were alone",
            "services do not start",
            "set INTURN_REDIS_URL to redis+cluster://host:port",
        )
    return ok("cluster", "no cluster")


def judge_eviction(info: ServerInfo) -> Point:
    """A full Redis must refuse, not forget."""
    if info.evicts:
        return fail(
            "eviction",
            f"maxmemory-policy is {info.eviction_policy}",
            "services do not start: a full Redis would delete messages, leases or dedupe silently",
            "set maxmemory-policy noeviction (managed services: in the parameter group)",
        )
    if not info.eviction_policy:
        return warn(
            "eviction",
            "the server does not say whether it evicts keys",
            "if it does, messages disappear silently when its memory is full",
            "make sure that it is set to noeviction",
        )
    return ok("eviction", "maxmemory-policy is noeviction: when it is full, it refuses")


def judge_append_only(info: ServerInfo, fsync: str | None) -> Point:
    """What a crash of Redis or its host takes along."""
    name = "append_only"
    if info.text("aof_enabled") != "1":
        advice = "set appendonly yes (CONFIG SET appendonly yes works while it runs)"
        if info.number("connected_slaves"):
            costs = "if primary and replicas go down together, all unfinished messages are lost"
            return warn(name, "appendonly is off; there are replicas", costs, advice)
        costs = "a crash of Redis loses messages that were accepted: all since the last snapshot"
        return fail(name, "appendonly is off, and there is no replica", costs, advice)
    if fsync == "always":
        return ok(name, "appendfsync always: what was accepted survives a power cut; slowest")
    if fsync == "no":
        return warn(
            name,
            "appendfsync no: the operating system decides when to write",
            "a power cut may take the last 30 seconds of accepted messages",
            "set appendfsync everysec or always",
        )
    if fsync is None:
        text = "appendonly is on; how often it syncs is not shown here (the default, everysec,"
        return ok(name, f"{text} may lose two seconds in a crash)")
    return ok(name, f"appendfsync {fsync}: a crash of Redis or its host may take two seconds")


def judge_disk(info: ServerInfo) -> Point:
    """A Redis that cannot persist refuses writes (MISCONF)."""
    broken = [
        name
        for name in ("aof_last_write_status", "rdb_last_bgsave_status", "aof_last_bgrewrite_status")
        if info.text(name) not in ("", "ok")
    ]
    if info.text("loading") == "1":
        return fail(
            "disk",
            "Redis is still loading its data",
            "until it has, nobody is answered, and ingest does what ON_OUTAGE says",
            "wait; its log tells how far it is",
        )
    if broken == ["aof_last_bgrewrite_status"]:
        return warn(
            "disk",
            "the last rewrite of the append-only file failed",
            "the file grows until the disk is full, and then no message is accepted",
            "look for space and memory on Redis's host",
        )
    if broken:
        return fail(
            "disk",
            f"Redis could not write to its disk ({', '.join(broken)})",
            "it may refuse every write (MISCONF): ingest then does what ON_OUTAGE says",
            "look for space and rights on Redis's disk",
        )
    return ok("disk", "Redis writes to its disk without errors")


def judge_memory(info: ServerInfo) -> Point:
    """Room for a backlog."""
    used, limit = info.number("used_memory"), info.number("maxmemory")
    host = info.number("total_system_memory")
    if limit:
        share = used / limit
        says = f"{used // MiB} of {limit // MiB} MiB are used ({share:.0%})"
        costs = "when it is full, ingest does what ON_OUTAGE says until the backlog has drained"
        advice = "raise maxmemory, or find out why the backlog grows"
        if share >= MEMORY_FAIL:
            return fail("memory", says, costs, advice)
        return warn("memory", says, costs, advice) if share >= MEMORY_WARN else ok("memory", says)
    says = f"{used // MiB} MiB are used, and there is no maxmemory"
    if host and used > HOST_MEMORY_WARN * host:
        return warn(
            "memory",
            f"{says} (the host has {host // MiB})",
            "the host kills a Redis that takes all its memory; a limit makes it refuse instead",
            "set maxmemory below the host's memory",
        )
    return ok("memory", says)


def judge_clock(skew_ms: int) -> Point:
    """Time that is compared across machines is Redis's; other times are not."""
    says = f"Redis's clock is {abs(skew_ms)} ms {'ahead of' if skew_ms >= 0 else 'behind'} this one"
    costs = "ages of messages are misjudged: new ones may be ignored as too old"
    advice = "let both machines keep time by NTP"
    if abs(skew_ms) >= SKEW_FAIL_MS:
        return fail("clock", says, f"{costs}, and signed webhooks refused", advice)
    if abs(skew_ms) >= SKEW_WARN_MS:
        return warn("clock", says, costs, advice)
    return ok("clock", says)


def judge_rights(rights: Rights, *, may_info: bool) -> Point:
    """Every command that inturn uses, tried."""
    denied = [*rights.denied, *([] if may_info else ["INFO"])]
    if denied:
        return fail(
            "rights",
            f"not allowed: {', '.join(denied)}",
            "services do not start, or fail at the first message",
            "allow these commands, on keys that begin with INTURN_PREFIX (ACL SETUSER)",
        )
    if rights.writes_refused:
        return fail(
            "rights",
            f"Redis refuses writes: {rights.writes_refused}",
            "ingest does what ON_OUTAGE says with new messages: it spools them, by default",
            "see what the other points say about memory, disk and role",
        )
    return ok("rights", "every script and command that inturn uses is allowed")
