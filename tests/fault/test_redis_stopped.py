"""F6: Redis stands still, or is busy, and goes on."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from ops.chaos.bench import Bench, bench
from ops.chaos.faults import busy_redis, pause_redis
from ops.chaos.private_redis import PrivateRedis
from tests.support.fault_bench import assert_ledger

pytestmark = pytest.mark.timeout(180)

FELT_S = 0.8
"""Somebody's answer took at least that part of the shortest stop, or it was not felt."""


async def test_redis_stopped_and_busy(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """SIGSTOP for 1, 6 and 20 s (two thirds of a lease, four, thirteen), a slow script for 3 s."""
    async with bench(private_redis, tmp_path, chance) as made:
        made.writers.start()
        for fault, for_s in ((pause_redis, 1.0), (busy_redis, 3.0), (pause_redis, 6.0)):
            await asyncio.sleep(chance.uniform(0.5, 1.0))
            await fault(made, for_s)
            await made.all_owned()
        taken = await takeovers(made)
        await pause_redis(made, 20.0)
        await made.all_owned()
        await assert_ledger(made)
        assert made.sender.slowest_s >= FELT_S, "void: no stop was felt"
        assert await takeovers(made) > taken, "void: nothing was rebuilt"


async def takeovers(made: Bench) -> float:
    """How often partitions were rebuilt."""
    return sum([await worker.metric("takeovers_total") for worker in made.workers.values()])
