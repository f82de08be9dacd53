"""Free slots go to partitions whose memory is not in doubt, and to those when it no longer is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import cast

import pytest
from structlog.testing import capture_logs

from consumer.answers import StartAnswer, StartCode, StartRequest
from consumer.bodies import strip
from consumer.dispatch import Dispatcher
from consumer.lease import trust_from
from consumer.membership import Membership
from consumer.memory import Memory
from consumer.store import PartitionStore
from shared.connect import Pipe
from shared.errors import BrokerUnavailable
from shared.keys import Keys
from shared.metrics import ConsumerMetrics
from shared.model import WorkerId
from shared.window import Rules
from tests.support.dispatching import dispatch_settings
from tests.support.windows import make_window

RULES = Rules(max_wait_ms=8000, max_messages=1, quiet_ms=0, grace_ms=2000)
LEASE_MS = 600_000


class Partition:
    """One whose start scripts get no answer before they are told to fail."""

    def __init__(self, number: int, *users: str) -> None:
        self.number = number
        self.epoch = 1
        self.trusted = True
        self.memory = Memory(lambda _instance, _connection: RULES)
        self.store = cast("PartitionStore", self)
        self.asked: list[str] = []
        self.tokens: list[str] = []
        self.restarts: list[str] = []
        self.answer: StartCode | None = None
        self.fail = asyncio.Event()
        for user in users:
            self.memory.learn(make_window(["hi"], user=user).entries[0], 0.0)

    async def entries(self, wanted: Sequence[object]) -> list[None]:
        """Whatever is asked for is not in the streams any more."""
        return [None for _ in wanted]

    async def start(self, _epoch: int, requests: Sequence[StartRequest]) -> list[StartAnswer]:
        """The start script."""
        if not requests:
            return []
        self.asked += [request.window.user for request in requests]
        self.tokens += [request.token for request in requests]
        if self.answer is not None:
            return [StartAnswer(code=self.answer, attempt=0, delay_ms=0, since=0, now_ms=0)]
        await self.fail.wait()
        raise BrokerUnavailable("no answer")

    def is_trusted(self) -> bool:
        """Whether the lease holds."""
        return self.trusted

    def wake(self) -> None:
        """Not heard of here."""

    def load_replies(self) -> None:
        """Nor this."""

    def restart(self, reason: str) -> None:
        """Its memory is of no use."""
        self.restarts.append(reason)

    def step_down(self) -> None:
        """Nor this."""


def make_dispatcher(partitions: Sequence[Partition], tasks: asyncio.TaskGroup) -> Dispatcher:
    """With one slot."""
    worker = WorkerId("w")
    membership = Membership(cast("Pipe", None), Keys("t", 2), worker, LEASE_MS)
    membership.trust = trust_from(time.monotonic(), LEASE_MS)
    settings = dispatch_settings()
    owners = {partition.number: partition for partition in partitions}
    return Dispatcher(worker, membership, settings, ConsumerMetrics(), tasks, owners.get)


async def turn_loop() -> None:
    """What is to happen now has happened: a start, its failure, and the next one's start."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_window_waits_until_its_partition_is_trusted_again() -> None:
    """Its turn passes while the lease is in doubt; regained, it is among those that wait."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        first, doubted = Partition(0, "ann"), Partition(1, "bob", "carol")
        dispatcher = make_dispatcher((first, doubted), tasks)
        dispatcher.dispatch(first)
        dispatcher.dispatch(doubted)
        await turn_loop()
        assert (first.asked, doubted.asked) == (["ann"], [])

        doubted.trusted = False
        first.fail.set()
        await turn_loop()
        dispatcher.dispatch(doubted)
        await turn_loop()
        assert doubted.asked == []

        doubted.trusted = True
        dispatcher.dispatch(doubted)
        await turn_loop()
        assert doubted.asked == ["bob"]
        doubted.fail.set()
        await turn_loop()
        assert doubted.asked == ["bob", "carol"]


async def test_no_token_is_used_twice() -> None:
    """What is still on its way under an old one would else count for another window."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        partition = Partition(0, "ann", "bob", "carol")
        partition.fail.set()
        make_dispatcher((partition,), tasks).dispatch(partition)
        await turn_loop()
        assert partition.asked == ["ann", "bob", "carol"]
        assert len(set(partition.tokens)) == 3


@pytest.mark.parametrize(
    "answer, reason",
    [
        (None, "start unanswered"),
        (StartCode.CONFLICT, "start refused"),
        (StartCode.GONE, "start refused"),
    ],
)
async def test_a_window_that_did_not_start_is_read_again(
    answer: StartCode | None, reason: str
) -> None:
    """What memory knows of it is not what stands in Redis: it would wait there for ever."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        partition = Partition(0, "ann")
        partition.answer = answer
        partition.fail.set()
        dispatcher = make_dispatcher((partition,), tasks)
        dispatcher.dispatch(partition)
        await turn_loop()
        assert partition.restarts == [reason]
        assert dispatcher.running == {}


async def test_a_window_that_was_finished_meanwhile_alarms_nobody() -> None:
    """
    After an outage a takeover may read a record whose result is written just then: no message of
    it is lost, and no line says so.
    """
    with capture_logs() as logs:
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            partition = Partition(0)
            partition.memory.learn(strip(make_window(["hi"]).entries[0]), 0.0)
            make_dispatcher((partition,), tasks).dispatch(partition)
            await turn_loop()
    assert [(line["event"], line["log_level"]) for line in logs] == [("start.refused", "info")]
    assert logs[0]["code"] == "GONE"
    assert (partition.asked, len(partition.restarts)) == ([], 1)
