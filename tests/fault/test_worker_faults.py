"""F3 in small: a worker stopped under load."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from tests.support.loaded import LEASE_MS, begin_sending, loaded, settled, some_at_work
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

ROUNDS = 20

pytestmark = pytest.mark.timeout(180)


async def test_a_worker_stopped_for_two_leases(
    durable_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """SIGSTOP with windows in hand, CONT after two leases: it is refused, and nothing is stale."""
    async with loaded(durable_redis.url, prefix, tmp_path, chance) as made:
        sleeper, other = await made.consumer(), await made.consumer()
        await sleeper.owns(4)
        sending = begin_sending(made, ROUNDS)
        await some_at_work(made, chance)
        sleeper.pause()
        stopped_s = time.monotonic()
        await other.owns(8)
        await asyncio.sleep(max(0.0, stopped_s + 2 * LEASE_MS / 1000 - time.monotonic()))
        resumed_s = time.monotonic()
        sleeper.resume()

        async def was_refused() -> bool:
            return await sleeper.metric("fenced_total") > 0

        await eventually(was_refused, "a refusal of the sleeper", 20.0)
        await settled(made, sending, ROUNDS, may_outlive=True)
        late = made.ledger.outlived
        assert all(resumed_s <= call.began_s < resumed_s + 1.0 for call in late)
        await asyncio.gather(sleeper.owns(4), other.owns(4))
