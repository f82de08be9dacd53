"""F1: workers killed at every named step and at random moments, under load."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from ops.chaos.bench import LEASE_MS, Bench, Options, bench
from ops.chaos.private_redis import PrivateRedis
from ops.chaos.waiting import eventually
from tests.support.fault_bench import Probes, assert_ledger, say, some_in_hand

STEPS = ("read", "start", "handler", "finish", "renew", "send")
PER_STEP = 3
AT_RANDOM = 9

pytestmark = pytest.mark.timeout(300)


async def kill(made: Bench, probes: Probes, step: str) -> float:
    """
    Kill a worker at ``step`` (``random``: whenever handlers are in hand) and start another one.

    Gives the seconds until others owned all that it had.
    """
    slot = made.chance.choice(sorted(made.workers))
    victim = made.running[slot]
    owned = {n for n, w in (await made.lease_owners()).items() if w == victim.worker_id}
    disturbance = made.ledger.disturb(f"kill at {step}", [victim.name])
    if step == "random":
        await some_in_hand(made, slot)
        victim.kill()
    else:
        probes.arm(slot, step, "kill", made.chance.randint(1, 5))
        assert await victim.ended(30.0) < 0, f"void: {victim.name} was not killed at {step}"
    made.ledger.killed(disturbance)
    began_s = time.monotonic()
    made.spawn(slot, "consumer")

    async def is_taken_over() -> bool:
        owners = await made.lease_owners()
        return all(owners.get(n, victim.worker_id) != victim.worker_id for n in owned)

    await eventually(is_taken_over, f"other owners of {owned}", 30.0)
    return time.monotonic() - began_s


async def killed_workers(
    redis: PrivateRedis, folder: Path, chance: random.Random, steps: list[str]
) -> list[float]:
    """One load, a kill per step of the list; the ledger is asserted; the recoveries' seconds."""
    probes = Probes(folder)
    async with bench(redis, folder, chance, Options(spawn=probes.spawn)) as made:
        made.writers.start()
        recoveries = []
        for step in steps:
            recoveries.append(await kill(made, probes, step))
            await made.all_owned()
        await assert_ledger(made)
        return recoveries


@pytest.mark.short_fault
async def test_a_few_workers_killed(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """Three kills, before and after the handler and at random: nothing lost, nothing twice."""
    await killed_workers(private_redis, tmp_path, chance, ["start", "finish", "random"])


async def test_workers_killed_at_every_step(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """27 kills: nothing lost, others own within lease + 2 s, repeats only of what was in flight."""
    steps = [*STEPS * PER_STEP, *["random"] * AT_RANDOM]
    chance.shuffle(steps)
    recoveries = sorted(await killed_workers(private_redis, tmp_path, chance, steps))
    middle, worst = recoveries[len(recoveries) // 2], recoveries[-1]
    say(f"recovery after {len(recoveries)} kills: p50 {middle:.2f} s, p99 {worst:.2f} s")
    assert worst <= LEASE_MS / 1000 + 2.0
