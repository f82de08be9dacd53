"""What is in Redis under a prefix, looked at from outside, by key names alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from ops.chaos.contents import keys_of, leftovers
from shared.record import decode_record
from tests.support.clients import look_now

__all__ = [
    "age",
    "leftovers",
    "nothing_unfinished_expires",
    "replies",
    "started_by",
    "wrongly_expiring",
]

MAY_EXPIRE = ("lease", "seen", "history")
"""Keys of a partition that may have a TTL: none of them holds an unfinished message."""


async def replies(redis: Redis, prefix: str) -> list[bytes]:
    """The values of all unsent replies."""
    found: list[bytes] = []
    for outbox in await keys_of(redis, prefix, "outbox"):
        rows: Any = await redis.xrange(outbox)
        found += [fields[b"m"] for _, fields in rows]
    return found


def started_by(url: str, prefix: str, worker: str) -> set[str]:
    """The windows that a worker has started and not finished, at this very moment."""
    with look_now(url) as redis:
        running = list(redis.scan_iter(f"{prefix}:{{*}}:running", count=1000))
        records = [decode_record(value) for key in running for value in redis.hvals(key)]
    return {str(record.window_id) for record in records if record.worker == worker}


async def wrongly_expiring(redis: Redis, prefix: str) -> list[str]:
    """Keys that have a TTL and must not."""
    wrong = []
    async for key in redis.scan_iter(f"{prefix}:*", count=1000):
        name = key.decode().removeprefix(f"{prefix}:").split(":")
        if name[0] == "worker" or (name[0].startswith("{") and name[1] in MAY_EXPIRE):
            continue
        if await redis.pttl(key) >= 0:
            wrong.append(key.decode())
    return wrong


@asynccontextmanager
async def nothing_unfinished_expires(redis: Redis, prefix: str) -> AsyncIterator[None]:
    """Scan again and again inside the block; fail at its end if a TTL was where none may be."""
    wrong: set[str] = set()
    scans = 0
    ended = asyncio.Event()

    async def scan() -> None:
        nonlocal scans
        while not ended.is_set():
            wrong.update(await wrongly_expiring(redis, prefix))
            scans += 1
            await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as group:
        group.create_task(scan(), name="scan-ttl")
        yield
        ended.set()
    assert scans > 0
    assert not wrong


async def age(redis: Redis, prefix: str, by_ms: int) -> None:
    """Rewrite every unread stream as if its entries had come ``by_ms`` earlier."""
    for stream in await keys_of(redis, prefix, "stream:"):
        rows: Any = await redis.xrange(stream)
        pipe = redis.pipeline(transaction=True)
        pipe.delete(stream)
        for entry_id, fields in rows:
            ms, _, seq = entry_id.partition(b"-")
            pipe.xadd(stream, fields, id=f"{int(ms) - by_ms}-{seq.decode()}")
        pipe.xgroup_create(stream, "workers", "0")
        await pipe.execute()


async def dump(client: Any, prefix: str) -> dict[bytes, Any]:
    """Everything under the prefix."""
    return {key: await client.dump(key) async for key in client.scan_iter(f"{prefix}:*")}
