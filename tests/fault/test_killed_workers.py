"""F1: workers killed at every named step and at random moments, under load."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ops.chaos.bench import Bench, Options, bench
from ops.chaos.faults import recovering
from ops.chaos.private_redis import PrivateRedis
from ops.chaos.tally import tally
from tests.support.fault_bench import PATIENT_MS, Probes, assert_ledger, say, some_in_hand
from tests.support.machine import watched_machine

STEPS = ("read", "start", "handler", "finish", "renew", "send")
PER_STEP = 3
AT_RANDOM = 9
RECOVERY_S = 2.0
"""Beyond the lease, on a quiet machine."""
RECOVERY_TURNS = 6
"""An heir's to see that the lease is over and to take it, Redis's each time, and whoever looks."""

pytestmark = pytest.mark.timeout(300)


async def kill(made: Bench, probes: Probes, step: str) -> None:
    """Kill a worker at ``step``, or whenever handlers are in hand, and start another one."""
    async with made.taking("consumer") as slot, recovering(made, slot, step) as disturbance:
        victim = made.running[slot]
        if step == "random":
            await some_in_hand(made, slot)
            victim.kill()
        else:
            probes.arm(slot, step, "kill", made.chance.randint(1, 5))
            assert await victim.ended(30.0) < 0, f"void: {victim.name} was not killed at {step}"
        made.ledger.killed(disturbance)
        made.spawn(slot, "consumer")
    await made.all_owned()


async def killed_workers(
    redis: PrivateRedis, folder: Path, chance: random.Random, steps: list[str]
) -> None:
    """One load, a kill per step of the list; the ledger and the recoveries are asserted."""
    probes = Probes(folder)
    options = Options(spawn=probes.spawn, settings={"lease_ms": PATIENT_MS})
    async with bench(redis, folder, chance, options) as made:
        made.writers.start()
        with watched_machine() as machine:
            for step in steps:
                await kill(made, probes, step)
        await assert_ledger(made)
        recoveries = sorted(made.recoveries_s)
        middle, worst = recoveries[len(recoveries) // 2], recoveries[-1]
        say(f"recovery after {len(recoveries)} kills: p50 {middle:.2f} s, p99 {worst:.2f} s")
        assert worst <= made.lease_s + machine.allows_s(RECOVERY_S, RECOVERY_TURNS)
        assert tally(made.ledger.evidence).repeated > 0, "void: no kill hit a window in hand"


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
    await killed_workers(private_redis, tmp_path, chance, steps)
