"""What a lease keeper asks, and what it is answered: no Redis, and no partition behind a lease."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Any, cast

from consumer.keeper import LeaseKeeper
from consumer.lease import Lease, Trust
from consumer.membership import Membership, WorkerState
from consumer.partition import Partition
from shared.connect import Pipe
from shared.errors import NotConnected
from shared.keys import Keys
from shared.metrics import ConsumerMetrics
from shared.model import WorkerId
from shared.scripts import Script

US, OTHER = WorkerId("worker-us"), WorkerId("worker-other")
LEASE_MS = 6000


class Owned:
    """What the keeper sees of a partition whose lease is due."""

    def __init__(self, number: int, trust: Trust) -> None:
        self.number = number
        self.lease = Lease(worker=US, partition=number, epoch=1, trust=trust)
        self.stepped_down = False

    def renewed(self, lease: Lease) -> None:
        """Trusted anew."""
        self.lease = lease

    def step_down(self) -> None:
        """Another's."""
        self.stepped_down = True


class Torn:
    """
    A cluster of which one server is away: what names ``away`` fails, and what names ``silent`` has
    no answer yet; all else is granted.
    """

    is_cluster = True

    def __init__(self, away: Collection[str], silent: Collection[str] = ()) -> None:
        self.away = away
        self.silent = silent
        self.answers: dict[str, Any] = {"look": b"up", "renew": [1]}
        self.asked: list[str] = []

    async def call(self, name: str, *args: Any) -> Any:
        """PEXPIRE keeps a key; SMEMBERS knows another worker."""
        await self._ask(name, args[0])
        return [US.encode(), OTHER.encode()] if name == "SMEMBERS" else 1

    async def script(self, script: Script, keys: Sequence[Any], _args: Sequence[Any]) -> Any:
        """A worker that is looked at is there, a lease can be had and renewed."""
        await self._ask(script.name, keys[0])
        return self.answers.get(script.name, 1)

    async def _ask(self, name: str, key: str) -> None:
        if key in self.away:
            raise NotConnected("its server is away")
        self.asked.append(f"{name} {key}")
        if key in self.silent:
            await asyncio.Event().wait()


def keeper_of(pipe: Torn, keys: Keys, lease_ms: int) -> tuple[LeaseKeeper, Membership]:
    """A keeper that has joined and owns partition 0; everything is to be renewed."""
    membership = Membership(cast(Pipe, pipe), keys, US, lease_ms)
    due = Trust(time.monotonic() + lease_ms / 1000 * 0.4)
    membership.trust, membership._said = due, WorkerState.UP

    def own(lease: Lease) -> Partition:
        return cast(Partition, Owned(lease.partition, lease.trust))

    keeper = LeaseKeeper(cast(Pipe, pipe), keys, membership, lease_ms, ConsumerMetrics(), own)
    for number in (0, 1):
        keeper.partitions[number] = own(Lease(worker=US, partition=number, epoch=1, trust=due))
    return keeper, membership
