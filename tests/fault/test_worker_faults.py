"""F3 in small: a worker stopped under load."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.handler_server import HandlerCall
from tests.support.ledger import Who
from tests.support.redis_server import RedisServer
from tests.support.system import System, system
from tests.support.waiting import eventually

LEASE_MS = 1500
USERS: list[Who] = [(f"shop-{number % 8}", f"user-{number}") for number in range(200)]
ROUNDS = 20

pytestmark = pytest.mark.timeout(180)


@asynccontextmanager
async def loaded(
    redis: RedisServer, prefix: str, folder: Path, chance: random.Random
) -> AsyncIterator[System]:
    """
    A system whose handler takes 5 to 80 ms and fails 2 % of first attempts.

    One request in ten is sent twice.
    """

    async def hold(call: HandlerCall) -> None:
        await asyncio.sleep(chance.uniform(0.005, 0.08))

    settings: dict[str, Any] = {"max_wait_ms": 600, "max_attempts": 10, "retry_base_ms": 50}
    async with system(
        redis.url, prefix, folder, lease_ms=LEASE_MS, partitions=8, **settings
    ) as made:
        made.ledger.hold = hold
        made.ledger.fails = lambda call: call.json["attempt"] == 1 and chance.random() < 0.02
        made.ledger.sends_again = lambda: chance.random() < 0.1
        yield made


async def some_in_hand(made: System, chance: random.Random) -> None:
    """A random moment at which handlers run."""
    await asyncio.sleep(chance.uniform(0.1, 0.6))
    await eventually(lambda: len(made.ledger.in_hand) >= 10, "windows in hand")


async def settled(made: System, sending: asyncio.Task[None], *, may_outlive: bool = False) -> None:
    """Let the load end, then compare everything."""
    await sending
    await made.all_handled(60.0, may_outlive=may_outlive)
    assert made.ledger.accepted_count == len(USERS) * ROUNDS
    await made.assert_one_reply_per_window()


async def test_a_worker_stopped_for_two_leases(
    durable_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """SIGSTOP with windows in hand, CONT after two leases: it is refused, and nothing is stale."""
    async with loaded(durable_redis, prefix, tmp_path, chance) as made:
        sleeper, other = await made.consumer(), await made.consumer()
        await sleeper.owns(4)
        sending = asyncio.create_task(made.send_rounds(USERS, ROUNDS, pause_s=0.2))
        await some_in_hand(made, chance)
        sleeper.pause()
        stopped_s = time.monotonic()
        await other.owns(8)
        await asyncio.sleep(max(0.0, stopped_s + 2 * LEASE_MS / 1000 - time.monotonic()))
        resumed_s = time.monotonic()
        sleeper.resume()

        async def was_refused() -> bool:
            return await sleeper.metric("fenced_total") > 0

        await eventually(was_refused, "a refusal of the sleeper", 20.0)
        await settled(made, sending, may_outlive=True)
        late = made.ledger.outlived
        assert all(resumed_s <= call.began_s < resumed_s + 1.0 for call in late)
        await asyncio.gather(sleeper.owns(4), other.owns(4))
