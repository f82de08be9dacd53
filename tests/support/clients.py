"""Plain clients that look into what is tested, as ``default``, whether one server or a cluster."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from redis import Redis, RedisCluster
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio import RedisCluster as AsyncRedisCluster
from redis.asyncio.cluster import ClusterNode as AsyncClusterNode
from redis.cluster import ClusterNode

CLUSTER_SCHEME = "redis+cluster"


def is_cluster_url(url: str) -> bool:
    """Whether it names a cluster's nodes."""
    return urlsplit(url).scheme == CLUSTER_SCHEME


def look_into(url: str) -> Any:
    """A client for async tests; to be closed by ``aclose``."""
    if not is_cluster_url(url):
        return AsyncRedis.from_url(url, protocol=2)
    nodes = [AsyncClusterNode("127.0.0.1", port) for port in ports_of(url)]
    return AsyncRedisCluster(startup_nodes=nodes, protocol=2, require_full_coverage=False)


def look_now(url: str) -> Any:
    """A client for tests without a loop; a context manager."""
    if not is_cluster_url(url):
        return Redis.from_url(url, protocol=2)
    nodes = [ClusterNode("127.0.0.1", port) for port in ports_of(url)]  # type: ignore[no-untyped-call]
    return RedisCluster(startup_nodes=nodes, protocol=2, require_full_coverage=False)


async def cut_others(client: Any) -> int:
    """CLIENT KILL of every connection to servers that take writes, but for ours; how many."""
    where = {"target_nodes": "primaries"} if isinstance(client, AsyncRedisCluster) else {}
    killed = await client.client_kill_filter(skipme=True, **where)
    return sum(killed.values()) if isinstance(killed, dict) else int(killed)


def urls_of(url: str) -> list[str]:
    """Of each server behind ``url``."""
    if not is_cluster_url(url):
        return [url]
    return [f"redis://127.0.0.1:{port}/0" for port in ports_of(url)]


def ports_of(url: str) -> list[int]:
    """Of a cluster's nodes."""
    return [int(place.rpartition(":")[2]) for place in urlsplit(url).netloc.split(",")]
