"""Faults mixed by chance: two to four at once, then a pause in which all is whole again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from ops.chaos import faults
from ops.chaos.bench import Bench
from ops.chaos.faults import Fault

FAULTS: dict[str, Fault] = {
    "kill -9 of a worker": faults.kill_worker,
    "kill -9 of an ingest": faults.kill_ingest,
    "SIGSTOP of a worker": faults.pause_worker,
    "SIGTERM of a worker": faults.drain_worker,
    "SIGSTOP of Redis": faults.pause_redis,
    "kill -9 of Redis": faults.kill_redis,
    "a slow script in Redis": faults.busy_redis,
    "network cut": faults.cut_network,
    "network half-open": faults.half_open_network,
    "network stalled": faults.stalled_network,
    "network slow": faults.slow_network(0.5),
}
"""By the name in the report."""

AT_ONCE = (2, 4)
PARTS_OF_LEASE = (0.3, 3.0)
"""How long a fault lasts, in leases."""


def draw(chance: random.Random) -> Sequence[tuple[str, float]]:
    """Two to four different faults, and for how many leases each."""
    names = chance.sample(sorted(FAULTS), chance.randint(*AT_ONCE))
    return [(name, chance.uniform(*PARTS_OF_LEASE)) for name in names]


async def harm(made: Bench, drawn: Sequence[tuple[str, float]]) -> None:
    """
    All of them at once, each begun within half a lease.

    Raises:
        NotInTimeError: what was harmed did not come back.
    """

    async def harm_later(after_s: float, name: str, leases: float) -> None:
        await asyncio.sleep(after_s)
        await FAULTS[name](made, leases * made.lease_s)

    try:
        async with asyncio.TaskGroup() as group:
            for name, leases in drawn:
                later_s = made.chance.uniform(0.0, made.lease_s / 2)
                group.create_task(harm_later(later_s, name, leases), name=name)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
