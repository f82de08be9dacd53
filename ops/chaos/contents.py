"""What is in Redis under a prefix, looked at from outside, by key names alone."""

from __future__ import annotations

from typing import Any

import orjson
from redis.asyncio import Redis

from ops.chaos.evidence import Dead, Snapshot


async def keys_of(redis: Redis, prefix: str, kind: str) -> list[bytes]:
    """The keys of all partitions whose name begins with ``kind``."""
    return [key async for key in redis.scan_iter(f"{prefix}:{{*}}:{kind}*", count=1000)]


async def unfinished(redis: Redis, prefix: str) -> int:
    """Messages that are in a stream."""
    return sum([await redis.xlen(key) for key in await keys_of(redis, prefix, "stream:")])


async def leftovers(redis: Redis, prefix: str) -> dict[str, int]:
    """What must be empty when everything is done: entries, pending ones, records, sends, lag."""
    found: dict[str, int] = {"entries": 0, "pending": 0, "lag": 0}
    for stream in await keys_of(redis, prefix, "stream:"):
        found["entries"] += await redis.xlen(stream)
        for group in await redis.xinfo_groups(stream):
            found["pending"] += group["pending"]
            found["lag"] += group.get("lag") or 0  # 6.2 does not tell it
    for kind in ("running", "sending", "ready"):
        found[kind] = len(await keys_of(redis, prefix, kind))
    return {name: count for name, count in found.items() if count}


async def unsent(redis: Redis, prefix: str) -> int:
    """Replies that wait in an outbox."""
    return sum([await redis.xlen(key) for key in await keys_of(redis, prefix, "outbox")])


async def dead_letters(redis: Redis, prefix: str) -> list[Dead]:
    """Every dead letter that holds a window."""
    found: list[Dead] = []
    for key in await keys_of(redis, prefix, "dead"):
        rows: Any = await redis.xrange(key)
        for _, fields in rows:
            letter = orjson.loads(fields[b"m"])
            window = letter["window"]
            if window is None:
                continue
            found.append(
                Dead(
                    who=(window["instance"], window["user"]),
                    window_id=window["window_id"],
                    members=tuple(entry["message_id"] for entry in window["entries"]),
                    attempts=letter["attempts"],
                )
            )
    return found


async def lease_owners(redis: Redis, prefix: str, partitions: int) -> dict[int, str]:
    """The worker that holds each partition's lease; those without an owner are left out."""
    pipe = redis.pipeline(transaction=False)
    for number in range(partitions):
        pipe.hget(f"{prefix}:{{{number}}}:lease", "owner")
    owners: list[bytes | None] = await pipe.execute()
    return {number: owner.decode() for number, owner in enumerate(owners) if owner is not None}


async def snapshot(redis: Redis, prefix: str, files: dict[str, int]) -> Snapshot:
    """What may not grow; ``files`` are the open files of each process."""
    consumers = 0
    for stream in await keys_of(redis, prefix, "stream:"):
        for group in await redis.xinfo_groups(stream):
            consumers += group["consumers"]
    memory: Any = await redis.info("memory")
    journals = await keys_of(redis, prefix, "journal")
    journal_bytes = [await redis.memory_usage(key) or 0 for key in journals]
    return Snapshot(
        stream_entries=await unfinished(redis, prefix),
        consumers=consumers,
        seen_keys=len(await keys_of(redis, prefix, "seen")),
        keys=int(await redis.dbsize()),
        memory_bytes=int(memory["used_memory"]),
        journal_bytes=sum(journal_bytes),
        files=files,
    )


async def key_names(redis: Redis) -> list[bytes]:
    """Every key."""
    return [key async for key in redis.scan_iter(count=1000)]
