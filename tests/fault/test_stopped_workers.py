"""F3: workers stopped for half a lease, one and three, that wake and are refused what is stale."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from ops.chaos.bench import Bench, Options, bench
from ops.chaos.faults import disturbing
from ops.chaos.private_redis import PrivateRedis
from ops.chaos.waiting import eventually
from tests.support.fault_bench import PATIENT_MS, assert_ledger, say, some_in_hand

pytestmark = pytest.mark.timeout(180)


async def stop(made: Bench, leases: float) -> float:
    """
    Stop a worker with handlers in hand for so long; how many refusals it has seen since.

    From one lease on it also sleeps until somebody runs a window again that it had in hand: only
    then is there something to refuse.
    """
    async with made.taking("consumer") as slot:
        sleeper = made.running[slot]
        refused = await sleeper.metric("fenced_total")
        await some_in_hand(made, slot)
        in_hand = {call.window_id for call in made.ledger.calls_in_hand_of(sleeper.name)}

        def is_run_again() -> bool:
            calls = made.ledger.evidence.calls
            return any(c.window_id in in_hand and c.worker != sleeper.name for c in calls)

        async with disturbing(made, f"stopped for {leases:g} leases", sleeper.name):
            sleeper.pause()
            try:
                await asyncio.sleep(leases * made.lease_s)
                if leases >= 1:
                    await eventually(is_run_again, "a window of its run again", 20.0)
            finally:
                sleeper.resume()
        if leases >= 1:

            async def has_seen_one() -> bool:
                return await sleeper.metric("fenced_total") > refused

            await eventually(has_seen_one, f"void: a refusal of {sleeper.name}", 20.0)
        await eventually(lambda: made.ledger.calls_in_hand_of(sleeper.name), "its work again", 20.0)
        return await sleeper.metric("fenced_total") - refused


async def stopped_workers(
    redis: PrivateRedis, folder: Path, chance: random.Random, stops: list[float]
) -> None:
    """One load, a stop per number of leases; the ledger is asserted."""
    options = Options(settings={"lease_ms": PATIENT_MS})
    async with bench(redis, folder, chance, options) as made:
        made.writers.start()
        refusals = [(leases, await stop(made, leases)) for leases in stops]
        say(f"refusals after stops of so many leases: {refusals}")
        await assert_ledger(made)


@pytest.mark.short_fault
async def test_a_worker_stopped_for_three_leases(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """It wakes, is refused at least once, and nothing of what it does then counts."""
    await stopped_workers(private_redis, tmp_path, chance, [3.0])


async def test_workers_stopped_for_half_a_lease_one_and_three(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """Six stops: no stale read, start or finish; of a lease or longer, a refusal each."""
    stops = [0.5, 1.0, 3.0] * 2
    chance.shuffle(stops)
    await stopped_workers(private_redis, tmp_path, chance, stops)
