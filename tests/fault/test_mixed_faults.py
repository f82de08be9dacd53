"""F18: two to four faults at once, drawn by the seed; then everything heals and drains."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from ops.chaos.bench import Options, bench
from ops.chaos.load import Load
from ops.chaos.mix import draw, harm
from ops.chaos.private_redis import PrivateRedis
from tests.support.fault_bench import assert_ledger, say

ROUNDS = 8

pytestmark = pytest.mark.timeout(280)


async def test_faults_mixed(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """Eight rounds under one load: every check holds, and all is drained within 60 s."""
    rounds = [draw(chance) for _ in range(ROUNDS)]
    options = Options(proxied=("w1", "w2", "i1"), load=Load(per_s=60.0, asks_rate=0.1))
    async with bench(private_redis, tmp_path, chance, options) as made:
        made.writers.start()
        for drawn in rounds:
            say(", ".join(f"{name} for {leases:.1f} leases" for name, leases in drawn))
            await harm(made, drawn)
            await made.all_owned()
            # one that still starts has no connection that the next round could harm
            await asyncio.gather(*(process.ready() for process in made.running.values()))
        await assert_ledger(made)
        done = made.ledger.evidence.disturbances
        assert len(done) >= ROUNDS, "void: nothing was done"
