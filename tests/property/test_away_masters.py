"""Whatever masters go and come back when, what was accepted is there once, in its user's order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingest.accepted import Accepted
from ingest.away import State
from ingest.by_partition import ByPartition
from shared.errors import BrokerUnavailable, InturnError, NotConnected, SpoolUnavailable
from shared.model import Message
from tests.support.outages import Policy, Store
from tests.support.spooling import message
from tests.support.waiting import eventually

PARTITIONS = 6
MASTERS = 3
CLIENTS = 4
MESSAGES = 300
"""Of each client, who writes to users of its own."""


class Cluster:
    """Masters that go and come, and partitions that move; what is known of it lags behind."""

    all = frozenset(range(PARTITIONS))

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.owners = [number % MASTERS for number in self.all]
        self.known = list(self.owners)
        self.gone: set[int] = set()

    def partition_of(self, message: Message, /) -> int:
        """By its user's number."""
        return int(message.user) % PARTITIONS

    def beside(self, partition: int, /) -> frozenset[int]:
        """As it was when somebody looked last."""
        owner = self.known[partition]
        return frozenset(one for one in self.all if self.known[one] == owner)

    async def lose(self, master: int) -> None:
        """It goes for a moment, again and again, until cancelled; a partition may move then."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.0, 0.15))
            self.gone.add(master)
            await asyncio.sleep(self.chance.uniform(0.0, 0.01))
            if self.chance.random() < 0.3:
                self.owners[self.chance.randrange(PARTITIONS)] = self.chance.randrange(MASTERS)
            self.gone.discard(master)
            if self.chance.random() < 0.5:
                self.known = list(self.owners)


class Moody(Store):
    """Its masters go before or after a write; who is cancelled leaves a call that goes on."""

    def __init__(self, cluster: Cluster, order: list[str], lateness_s: float) -> None:
        """``lateness_s``: at most so long a message takes on its way, and its answer."""
        super().__init__()
        self.cluster = cluster
        self.lateness_s = lateness_s
        self.order = order

    async def append(self, messages: Sequence[Message]) -> list[Accepted]:
        """Message by message: of those of one call some may be written and some not."""
        call = asyncio.create_task(self._append(messages), name="call")
        call.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(call)

    async def _append(self, messages: Sequence[Message]) -> list[Accepted]:
        cluster, accepted = self.cluster, []
        for one in messages:
            self._ask(one, NotConnected("refused"))
            await asyncio.sleep(cluster.chance.uniform(0, self.lateness_s))
            if cluster.chance.random() < 0.5:
                self._ask(one, BrokerUnavailable("cut before it was written"))
            accepted += await super().append([one])
            await asyncio.sleep(cluster.chance.uniform(0, self.lateness_s))
            self._ask(one, BrokerUnavailable("cut before it was answered"))
        return accepted

    def _ask(self, one: Message, error: InturnError) -> None:
        if self.cluster.owners[self.cluster.partition_of(one)] in self.cluster.gone:
            raise error


async def write(appender: ByPartition, client: int, chance: random.Random) -> list[Message]:
    """One request after the answer to the other, each again until it is kept."""
    users = [str(number) for number in range(2 * PARTITIONS) if number % CLIENTS == client]
    left = [message(number, chance.choice(users)) for number in range(MESSAGES)]
    written = list(left)
    while left:
        request = left[: chance.randint(1, 4)]
        try:
            accepted = await appender.append(request)
        except SpoolUnavailable:
            continue
        assert [one.message_id for one in accepted] == [one.message_id for one in request]
        del left[: len(request)]
        await asyncio.sleep(chance.uniform(0, 0.01))
    return written


@pytest.mark.parametrize("seed", range(4))
async def test_masters_go_and_come_back(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside other masters' messages that go on; two partitions of one may part meanwhile."""
    monkeypatch.setattr("ingest.outage.PROBE_S", 0.005)
    chance = random.Random(seed)
    cluster = Cluster(chance)
    order: list[str] = []
    policy = Policy(
        tmp_path,
        servers=cluster,
        store=Moody(cluster, order, 0.002),
        patient=Moody(cluster, order, 0.001),
    )
    await policy.appender.start()
    policy.drain()
    losing = [asyncio.create_task(cluster.lose(master)) for master in range(MASTERS)]
    try:
        appender = ByPartition(policy.appender, cluster)
        clients = [write(appender, client, chance) for client in range(CLIENTS)]
        written = [one for own in await asyncio.gather(*clients) for one in own]
        for task in losing:
            task.cancel()
        cluster.gone.clear()
        await policy.is_in(State.ONLINE)
        await eventually(lambda: policy.spool.messages == 0, "an empty spool")
    finally:
        for task in losing:
            task.cancel()
        await policy.end()
    assert sorted(order) == sorted(one.message_id for one in written)
    for user in {one.user for one in written}:
        own = [one.message_id for one in written if one.user == user]
        assert [one for one in order if one in set(own)] == own
    spooled = policy.metrics.registry.get_sample_value("inturn_spool_replayed_total")
    assert spooled, "void: nothing was spooled"
    assert spooled < len(written), "void: everything was"
