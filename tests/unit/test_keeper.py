"""In what order a round of the lease keeper asks, for a Redis that takes its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, cast

from consumer.keeper import LeaseKeeper
from consumer.lease import Lease, Trust
from consumer.membership import Membership, WorkerState
from consumer.partition import Partition
from shared.connect import Pipe
from shared.keys import Keys
from shared.metrics import ConsumerMetrics
from shared.model import WorkerId
from shared.scripts import Script

US = WorkerId("worker-us")
LEASE_MS = 6000


class Slow:
    """A pipe that gives no answer yet; ``asked`` is what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def call(self, *command: Any) -> Any:
        """Not answered."""
        self.asked.append(command[0])
        await asyncio.Event().wait()

    async def script(self, script: Script, _keys: Sequence[Any], _args: Sequence[Any]) -> Any:
        """Not answered."""
        await self.call(script.name)


class Owned:
    """What the keeper sees of a partition whose lease is due."""

    def __init__(self, number: int, trust: Trust) -> None:
        self.number = number
        self.lease = Lease(worker=US, partition=number, epoch=1, trust=trust)


async def test_a_round_renews_before_it_waits_for_anything() -> None:
    """
    Of a slow Redis each answer may take a quarter of the lease: a lease that waited for those to
    the beat and to the look at the others would have run out before its renewal left.
    """
    slow, keys = Slow(), Keys("t", 4)
    pipe = cast(Pipe, slow)
    membership = Membership(pipe, keys, US, LEASE_MS)
    due = Trust(time.monotonic() + LEASE_MS / 1000 * 0.4)
    membership.trust, membership._said = due, WorkerState.UP
    keeper = LeaseKeeper(pipe, keys, membership, LEASE_MS, ConsumerMetrics(), own=lambda _: None)  # type: ignore[arg-type,return-value]
    for number in (0, 1):
        keeper.partitions[number] = cast(Partition, Owned(number, due))
    going = asyncio.create_task(keeper.round())
    for _ in range(5):
        await asyncio.sleep(0)
    assert sorted(slow.asked) == ["PEXPIRE", "renew", "renew"]
    going.cancel()
    await asyncio.wait([going])
