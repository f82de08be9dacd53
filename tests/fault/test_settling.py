"""What the bench takes down at the end, and from whom."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from ops.chaos.bench import Options, bench
from ops.chaos.private_redis import PrivateRedis
from tests.support.fault_bench import answered_in, assert_ledger

START_S = 3.0


async def test_a_worker_that_is_still_at_its_start_is_waited_for(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """It takes the place of one that went at the very end; nothing waits for it but the bench."""
    async with bench(private_redis, tmp_path, chance, Options(ingests=1, workers=2)) as made:
        await answered_in(made, "ann")
        assert await made.running["w1"].stop() == 0
        late = made.respawn("w1")
        late.pause()
        asyncio.get_running_loop().call_later(START_S, late.resume)
        await assert_ledger(made)
