"""What both services tell of what Redis holds and how full it is."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress

from shared.connect import Pipe
from shared.holdings import fullest, keep_measuring
from shared.keys import Keys
from shared.metrics import StoreMetrics
from shared.redis_binary import ServerBinary
from shared.server_info import ServerInfo
from shared.steering_store import SteeringStore
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

MiB = 1024 * 1024
PARTITIONS = 4


async def fill(pipe: Pipe, keys: Keys) -> None:
    """Two replies and a dead letter, in different partitions."""
    for stream in (keys.partition(0).outbox, keys.partition(3).outbox, keys.partition(1).dead):
        await pipe.call("XADD", stream, "*", "m", "x")


def test_fullest_server_is_the_one_that_refuses_first() -> None:
    """A small one that is nearly full before a large one; without limits the largest."""

    def server(used: int, limit: int) -> ServerInfo:
        return ServerInfo({"used_memory": str(used), "maxmemory": str(limit)})

    assert fullest([server(60, 100), server(9, 10), server(70, 0)]) == server(9, 10)
    assert fullest([server(6, 0), server(9, 0), server(7, 0)]) == server(9, 0)


async def test_holdings_are_shown_and_unknown_during_an_outage(redis_binary: ServerBinary) -> None:
    """
    Dead letters, unsent replies and Redis's memory; NaN while nobody can tell, and those of the
    server that came back afterwards.
    """
    metrics, keys = StoreMetrics(), Keys("inturn", PARTITIONS)

    def shown(name: str) -> float:
        value = metrics.registry.get_sample_value(f"inturn_{name}")
        assert value is not None
        return value

    names = ("dead_letters_kept", "replies_unsent", "instances_paused", "redis_memory_used_bytes")
    assert all(math.isnan(shown(name)) for name in (*names, "redis_memory_max_bytes"))
    with RedisServer(redis_binary, options={"maxmemory": "64mb"}) as server:
        async with running_pipe(server.url) as pipe:
            await fill(pipe, keys)
            task = asyncio.create_task(keep_measuring(pipe, keys, [metrics], 0.01))
            await eventually(lambda: shown("dead_letters_kept") == 1, "the first look")
            assert shown("replies_unsent") == 2
            await SteeringStore(pipe, keys).change("shop", {"paused": True})
            await eventually(lambda: shown("instances_paused") == 1, "the pause")
            assert shown("redis_memory_max_bytes") == 64 * MiB
            assert 0 < shown("redis_memory_used_bytes") < 64 * MiB
            server.kill()
            await eventually(lambda: all(math.isnan(shown(name)) for name in names), "the outage")
            server.start()
            await eventually(lambda: shown("dead_letters_kept") == 0, "the new, empty server")
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
