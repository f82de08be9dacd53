"""What becomes of services under which the data vanish."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis

from shared.connect import Pipe
from shared.errors import StartRefused
from shared.meta_keeper import keep_meta
from shared.metrics import StoreMetrics
from shared.preflight import Prepared, prepare
from shared.settings import Settings
from tests.support.waiting import eventually

LOST = "inturn_data_lost_total"


def lost_count(metrics: StoreMetrics) -> float:
    """How often a loss was counted."""
    value = metrics.registry.get_sample_value(LOST)
    assert value is not None
    return value


@asynccontextmanager
async def watching(pipe: Pipe, found: Prepared) -> AsyncIterator[StoreMetrics]:
    """A process that watches its data, every 10 ms."""
    metrics = StoreMetrics()
    task = asyncio.create_task(keep_meta(pipe, found, metrics, interval_s=0.01))
    yield metrics
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_lost_data_are_told_once_and_the_meta_stands_again(
    pipe: Pipe, redis_client: Redis, prefix: str
) -> None:
    """Each process tells; the number of partitions and the key of the logs stay what they were."""
    found = await prepare(pipe, Settings(prefix=prefix, partitions=4))
    meta = f"{prefix}:meta"
    before: Any = await redis_client.hgetall(meta)
    with structlog.testing.capture_logs() as logs:
        async with watching(pipe, found) as first, watching(pipe, found) as second:
            # a fresh one has another time of creation, which is in ms
            await eventually(lambda: _ms(before) < _now_ms(), "the next millisecond")
            await redis_client.delete(meta)
            await eventually(lambda: lost_count(first) and lost_count(second), "both to notice")

            async def is_whole() -> bool:
                return len(await redis_client.hgetall(meta)) == len(before)

            await eventually(is_whole, "a whole meta")
            await some_rounds(pipe)
            assert (lost_count(first), lost_count(second)) == (1, 1)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["data.lost"] * 2
    after: Any = await redis_client.hgetall(meta)
    assert after.pop(b"created_at") > before.pop(b"created_at")
    assert after == before


async def test_meta_of_the_health_check_alone_is_completed(
    pipe: Pipe, redis_client: Redis, prefix: str
) -> None:
    """A probe that writes into the gone meta does not hide that it is gone."""
    found = await prepare(pipe, Settings(prefix=prefix, partitions=4))
    async with watching(pipe, found) as metrics:
        await redis_client.delete(f"{prefix}:meta")
        await redis_client.hset(f"{prefix}:meta", "checked", "1")
        await eventually(lambda: lost_count(metrics), "the loss")

        async def is_whole() -> bool:
            return await redis_client.hget(f"{prefix}:meta", "partitions") == b"4"

        await eventually(is_whole, "the number of partitions")


async def test_other_data_end_the_process(pipe: Pipe, redis_client: Redis, prefix: str) -> None:
    """Who would look for messages where others do not put them must not go on."""
    found = await prepare(pipe, Settings(prefix=prefix, partitions=4))
    await redis_client.delete(f"{prefix}:meta")
    await prepare(pipe, Settings(prefix=prefix, partitions=8))
    with pytest.raises(StartRefused, match=r"INTURN_PARTITIONS is 4, .* has 8 partitions"):
        await keep_meta(pipe, found, StoreMetrics())


async def test_the_same_data_are_no_loss(pipe: Pipe, prefix: str) -> None:
    """Rounds over data that stand leave no trace."""
    found = await prepare(pipe, Settings(prefix=prefix))
    async with watching(pipe, found) as metrics:
        await some_rounds(pipe)
        assert lost_count(metrics) == 0
    assert (await prepare(pipe, Settings(prefix=prefix))).created_at == found.created_at


async def some_rounds(pipe: Pipe) -> None:
    """Until ten more batches have left."""
    batches: list[int] = []
    pipe.on_batch = batches.append
    await eventually(lambda: len(batches) >= 10, "ten rounds")


def _ms(meta: Any) -> int:
    return int(meta[b"created_at"])


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
