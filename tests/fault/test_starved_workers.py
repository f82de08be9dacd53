"""A worker that the machine keeps from the CPU: what becomes of its windows is explained."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ops.chaos.bench import Options, bench
from ops.chaos.checks import judge
from ops.chaos.private_redis import PrivateRedis
from ops.chaos.tally import tally
from ops.chaos.waiting import eventually
from tests.support.fault_bench import assert_ledger, some_in_hand

BURNERS = 3
HANDLER_LEASES = 3
"""What is in hand as it begins to starve is so until it has been taken for dead."""

pytestmark = pytest.mark.timeout(180)


@contextmanager
def starved(pid: int) -> Iterator[None]:
    """Inside, it runs only when others leave it one core, and they leave it next to nothing."""
    everywhere = os.sched_getaffinity(0)
    core = {min(everywhere)}
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BURNERS)]
    try:
        for burner in burners:
            os.sched_setaffinity(burner.pid, core)
        _schedule(pid, os.SCHED_IDLE, core)
        yield
    finally:
        _schedule(pid, os.SCHED_OTHER, everywhere)
        for burner in burners:
            burner.kill()
            burner.wait()


def _schedule(pid: int, policy: int, cores: set[int]) -> None:
    for thread in (int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()):
        os.sched_setscheduler(thread, policy, os.sched_param(0))
        os.sched_setaffinity(thread, cores)


async def test_a_starved_worker_explains_what_is_run_again(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """It loses its lease with windows in hand: the ledger knows why, and would complain else."""
    async with bench(private_redis, tmp_path, chance, Options(workers=2)) as made:
        made.endpoint.shortest_s = made.endpoint.longest_s = HANDLER_LEASES * made.lease_s
        made.writers.start()
        evidence = made.ledger.evidence
        await some_in_hand(made, "w1")
        with starved(made.running["w1"].pid):
            await eventually(
                lambda: tally(evidence).repeated, "void: a window that was run again", 60.0
            )
        made.endpoint.shortest_s = made.endpoint.longest_s = 0.05
        await assert_ledger(made)
        unexplained = judge(replace(evidence, disturbances=[]), made.rules)
        assert "repeats" in {problem.check for problem in unexplained}
