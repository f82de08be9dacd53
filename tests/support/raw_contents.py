"""Every byte that stands under a prefix, key by key, as commands show it."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis


async def raw_contents(redis: Redis, prefix: str) -> dict[str, bytes]:
    """What each key holds, its name in front."""
    found: dict[str, bytes] = {}
    async for key in redis.scan_iter(f"{prefix}:*", count=1000):
        found[key.decode()] = key + b"\n" + _flat(await _value_of(redis, key))
    return found


async def _value_of(client: Any, key: bytes) -> Any:
    match await client.type(key):
        case b"string":
            return await client.get(key)
        case b"hash":
            return await client.hgetall(key)
        case b"list":
            return await client.lrange(key, 0, -1)
        case b"set":
            return await client.smembers(key)
        case b"zset":
            return await client.zrange(key, 0, -1, withscores=True)
        case b"stream":
            return await client.xrange(key)
        case kind:
            raise AssertionError(f"{key!r} is a {kind!r}")


def _flat(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        return b" ".join(_flat(part) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple | set):
        return b" ".join(map(_flat, value))
    return str(value).encode()
