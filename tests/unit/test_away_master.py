"""In a cluster: the policy ``spool`` where one of the masters goes, and the others are well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import structlog

from ingest.accepted import Accepted
from ingest.away import OneServer, State
from ingest.by_partition import MESSAGES_AT_A_TIME, ByPartition
from ingest.outage import SpoolingAppender
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.model import Message
from tests.support.let_go import left_of
from tests.support.outages import Policy, Store, files
from tests.support.spooling import message
from tests.support.waiting import eventually

USERS = ("ann", "ben", "cid")
"""Each has a partition; Ann's and Ben's are on one master."""


class TwoMasters(OneServer):
    """One has the partitions 0 and 1, the other 2."""

    all = frozenset({0, 1, 2})

    def partition_of(self, message: Message) -> int:
        """Its user's."""
        return USERS.index(message.user)

    def beside(self, partition: int) -> frozenset[int]:
        """On the same master."""
        return frozenset({2}) if partition == 2 else frozenset({0, 1})


@pytest.fixture
async def policy(tmp_path: Path) -> AsyncIterator[Policy]:
    """Online, and nothing is drained before the test says so."""
    made = Policy(tmp_path, servers=TwoMasters())
    await made.appender.start()
    yield made
    await made.end()


async def test_only_what_goes_to_its_master_is_spooled(policy: Policy) -> None:
    """Its other partitions' at once, the other master's not at all."""
    policy.store.gone |= {"ann", "ben"}
    assert await policy.put(1, "ann")
    calls = policy.store.calls
    assert await policy.put(2, "ben")
    assert policy.store.calls == calls, "nobody waits for a master that is known to be gone"
    assert not await policy.put(3, "cid")
    assert policy.store.order == ["cid-3"]

    policy.drain()
    assert not await policy.put(4, "cid"), "nor while it is asked whether it is back"
    assert await policy.put(5, "ann")
    policy.store.gone.clear()
    await policy.is_in(State.ONLINE)
    assert not await policy.put(6, "ann")
    assert policy.store.order == ["cid-3", "cid-4", "ann-1", "ben-2", "ann-5", "ann-6"]
    assert policy.spool.messages == 0


async def test_what_is_on_its_way_to_another_master_is_left_to_arrive(policy: Policy) -> None:
    """What goes to the one that went is spooled without waiting for its own timeout."""
    policy.store.hold.clear()
    waiting = [asyncio.create_task(policy.put(1, user)) for user in USERS]
    await eventually(lambda: policy.store.calls == 3, "three appends on their way")
    policy.appender.begin("another one failed", message(2, "ben"))
    assert await asyncio.gather(*waiting[:2]) == [True, True]
    assert not waiting[2].done()
    policy.store.hold.set()
    assert await waiting[2] is False


async def test_a_master_that_goes_while_another_comes_back_stays_away(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was spooled for it after the last replay is not left behind, and nothing overtakes."""
    policy.store.gone |= {"ann", "ben"}
    await policy.put(1, "ann")
    late: list[Accepted] = []
    states: list[State] = []
    replay = policy.appender._replay

    async def lose_the_other(backlog: Sequence[object]) -> None:
        await replay(backlog)  # type: ignore[arg-type]
        if policy.appender.state is State.CLOSING and not late:
            policy.store.gone.add("cid")
            late.extend(await policy.appender.append([message(2, "cid")]))
            states.append(policy.appender._away.state_of(message(3, "cid")))

    monkeypatch.setattr(policy.appender, "_replay", lose_the_other)
    policy.store.gone -= {"ann", "ben"}
    policy.drain()
    await eventually(lambda: late, "the other one's going")
    assert late[0].spooled
    assert states == [State.SPOOLING], "nobody waits for what is not about to come back"
    await eventually(lambda: policy.appender.state is State.SPOOLING, "the first one's return")
    assert not await policy.put(4, "ann")
    assert await policy.put(5, "cid")
    policy.store.gone.clear()
    await policy.is_in(State.ONLINE)
    assert policy.store.order == ["ann-1", "ann-4", "cid-2", "cid-5"]
    assert policy.spool.messages == 0


async def test_a_master_that_goes_again_while_it_comes_back_is_waited_for(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waited is spooled, behind what came first; the other master's users notice nothing."""
    policy.store.gone |= {"ann", "ben"}
    await policy.put(1, "ann")
    late: list[asyncio.Task[bool]] = []
    seal = policy.spool.seal

    async def fail_meanwhile() -> None:
        if policy.appender.state is State.CLOSING and not late:
            late.append(asyncio.create_task(policy.put(2, "ann")))
            assert not await policy.put(3, "cid")
            assert not late[0].done()
            raise BrokerUnavailable("gone again")
        await seal()

    monkeypatch.setattr(policy.spool, "seal", fail_meanwhile)
    policy.store.gone.clear()
    policy.drain()
    await eventually(lambda: late, "a message that waits")
    assert await late[0] is True
    await policy.is_in(State.ONLINE)
    assert policy.store.order == ["ann-1", "cid-3", "ann-2"]


async def test_what_another_process_left_behind_goes_first_for_all(
    policy: Policy, tmp_path: Path
) -> None:
    """It is adopted while a master is away, and may be of any partition."""
    policy.store.gone |= {"ann", "ben"}
    await policy.put(1, "ann")
    other = Policy(tmp_path, servers=TwoMasters())
    other.store.gone.add("cid")
    await other.put(2, "cid")
    await other.end()
    policy.patient.hold.clear()
    policy.drain()
    await eventually(lambda: policy.patient.calls == 1, "the replay of what was left")
    assert await policy.put(3, "cid")
    assert policy.appender.reason == "away", "what is to be mended is the master"
    policy.store.gone.clear()
    policy.patient.hold.set()
    await policy.is_in(State.ONLINE)
    assert policy.store.order == ["cid-2", "ann-1", "cid-3"]


async def test_a_message_refused_beside_a_master_that_is_away_is_set_aside_once(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often those behind it in its batch have to be tried again."""
    monkeypatch.setattr("ingest.outage.PROBE_S", 0.01)
    policy.store.gone |= {"ann", "ben", "cid"}
    for number, user in enumerate(("ann", "ben", "cid", "ben"), 1):
        await policy.put(number, user)
    policy.patient.refuses = {"ann-1"}
    policy.store.gone -= {"ann", "ben"}
    with structlog.testing.capture_logs() as logs:
        policy.drain()
        await eventually(lambda: policy.patient.calls >= 8, "several tries")
        assert policy.spool.messages == 2, "cid-3, and what is behind it"
        policy.store.gone.clear()
        await policy.is_in(State.ONLINE)
    assert policy.store.order == ["ben-2", "cid-3", "ben-4"]
    [refused] = files(tmp_path, "*/refused")
    assert refused.read_bytes().count(b"ann-1") == 1
    assert policy.metrics.registry.get_sample_value("inturn_spool_refused_total") == 1
    assert "spool.lost" not in [line["event"] for line in logs]


class _Each:
    """Notes which messages are appended together."""

    def __init__(self, appender: SpoolingAppender | Store) -> None:
        self.calls: list[list[str]] = []
        self._appender = appender

    async def append(self, messages: Sequence[Message]) -> list[Accepted]:
        self.calls.append([one.message_id for one in messages])
        return await self._appender.append(messages)


MIXED = [message(1, "ann"), message(2, "cid"), message(3, "ann"), message(4, "ben")]


async def test_a_request_is_appended_by_partition(policy: Policy) -> None:
    """Each part goes where it goes; the answers stand as the messages did."""
    policy.store.gone |= {"ann", "ben"}
    each = _Each(policy.appender)
    accepted = await ByPartition(each, TwoMasters()).append(MIXED)
    assert [one.message_id for one in accepted] == [one.message_id for one in MIXED]
    assert [one.spooled for one in accepted] == [True, False, True, True]
    assert each.calls == [["ann-1", "ann-3"], ["cid-2"], ["ben-4"]]


async def test_a_part_that_fails_fails_the_request_when_all_have_ended() -> None:
    """What is kept by then is found to be known when the request comes again."""
    store = Store()
    store.refuses = {"ann-1"}
    parted = ByPartition(store, TwoMasters())
    with pytest.raises(BrokerRefused):
        await parted.append(MIXED)
    assert store.order == ["cid-2", "ben-4"]
    store.refuses = set()
    again = await parted.append(MIXED)
    assert [one.duplicate for one in again] == [False, True, False, True]


async def test_a_request_that_fails_is_let_go_at_once() -> None:
    """What its parts met holds its messages no longer than its caller does."""
    store = Store()
    store.refuses = {"ann-1", "cid-2"}
    with left_of(BrokerRefused) as left:
        with suppress(BrokerRefused):
            await ByPartition(store, TwoMasters()).append(MIXED)
        assert left() == []


class _ManyPartitions(OneServer):
    """A hundred; of each of them ten users have one."""

    def partition_of(self, message: Message) -> int:
        return message.received_at // 10


async def test_a_request_for_many_partitions_holds_nobody_up() -> None:
    """What another request brings meanwhile goes in between, not behind all of them."""
    each = _Each(Store())
    parted = ByPartition(each, _ManyPartitions())
    many = [message(number, f"user-{number}") for number in range(1000)]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(parted.append(many))
        await asyncio.sleep(0)  # the first of them are on their way
        await asyncio.sleep(0)
        tasks.create_task(parted.append([message(1000, "ann")]))
    before = each.calls[: each.calls.index(["ann-1000"])]
    assert 0 < sum(map(len, before)) <= 8 * MESSAGES_AT_A_TIME
