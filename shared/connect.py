"""Pipes and connections to where a URL leads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.cluster.cluster_pipe import ClusterPipe
from shared.cluster.nodes import Nodes
from shared.durability import Durability
from shared.node_pipe import NodePipe
from shared.pipe import BLOCK_MS, BLOCK_SLACK_MS, Pipe
from shared.redis_url import is_cluster_url, is_sentinel_url
from shared.route import DirectRoute, Route, connection_options
from shared.sentinel import SentinelRoute

__all__ = [
    "BLOCK_MS",
    "BLOCK_SLACK_MS",
    "Pipe",
    "blocking_pipe_to",
    "open_pipe",
    "pipe_to",
    "route_of",
]


def pipe_to(url: str, *, timeout_ms: int, name: str, durability: Durability | None = None) -> Pipe:
    """A pipe to where ``url`` leads; an answer is waited for ``timeout_ms``."""
    if is_cluster_url(url):
        nodes = _nodes_of(url, timeout_ms / 1000, f"inturn-{name}")
        return ClusterPipe(nodes, timeout_ms=timeout_ms, name=name, durability=durability)
    route = route_of(url, timeout_s=timeout_ms / 1000, client_name=f"inturn-{name}")
    return NodePipe(route, timeout_ms=timeout_ms, name=name, durability=durability)


def blocking_pipe_to(url: str, *, name: str) -> Pipe:
    """A pipe for reads that block; in a cluster those of one slot do not wait for another's."""
    timeout_ms = BLOCK_MS + BLOCK_SLACK_MS
    if is_cluster_url(url):
        nodes = _nodes_of(url, timeout_ms / 1000, f"inturn-{name}")
        return ClusterPipe(nodes, timeout_ms=timeout_ms, name=name, is_per_slot=True)
    return pipe_to(url, timeout_ms=timeout_ms, name=name)


def _nodes_of(url: str, timeout_s: float, client_name: str) -> Nodes:
    options = connection_options(timeout_s, client_name)
    return Nodes(url, timeout_s=timeout_s, options=options)


def route_of(url: str, *, timeout_s: float, client_name: str) -> Route:
    """
    The way that ``url`` names; a connection is given up after ``timeout_s``.

    To a cluster it is one to any node: to hear what is published, which all of them tell.
    """
    if is_cluster_url(url):
        return _nodes_of(url, timeout_s, client_name)
    options = connection_options(timeout_s, client_name)
    if is_sentinel_url(url):
        return SentinelRoute(url, timeout_s=timeout_s, options=options)
    return DirectRoute(url, options)


@asynccontextmanager
async def open_pipe(
    url: str, *, timeout_ms: int, name: str, durability: Durability | None = None
) -> AsyncIterator[Pipe]:
    """A pipe that runs as long as the block, for what is short; services run theirs in a group."""
    pipe = pipe_to(url, timeout_ms=timeout_ms, name=name, durability=durability)
    task = asyncio.create_task(pipe.run(), name=f"pipe-{name}")
    try:
        yield pipe
    finally:
        task.cancel()
        # not awaited itself: whoever cancels us meanwhile must be heard
        await asyncio.wait([task])
