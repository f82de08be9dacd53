"""In what order a round of the lease keeper asks, for a Redis that takes its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from consumer.keeper import LeaseKeeper
from consumer.lease import Trust, assign, trust_from
from consumer.membership import Membership, WorkerState
from consumer.partition import Partition
from shared.cluster.slots import slot_of
from shared.connect import Pipe
from shared.errors import NotConnected
from shared.keys import Keys
from shared.metrics import ConsumerMetrics
from shared.scripts import Script
from tests.support.kept_leases import LEASE_MS, OTHER, US, Owned, Torn, keeper_of


class Slow:
    """A pipe that gives no answer yet; ``asked`` is what it was asked."""

    def __init__(self, *, is_cluster: bool = False) -> None:
        self.is_cluster = is_cluster
        self.asked: list[str] = []

    async def call(self, *command: Any) -> Any:
        """Not answered."""
        self.asked.append(command[0])
        await asyncio.Event().wait()

    async def script(self, script: Script, keys: Sequence[Any], _args: Sequence[Any]) -> Any:
        """Not answered."""
        await self.call(f"{script.name} {len(keys)}")


@pytest.mark.parametrize(
    "is_cluster, renewals", [(False, ["renew 2"]), (True, ["renew 1", "renew 1"])]
)
async def test_a_round_renews_before_it_waits_for_anything(
    is_cluster: bool, renewals: list[str]
) -> None:
    """
    Of a slow Redis each answer may take a quarter of the lease: a lease that waited for those to
    the beat and to the look at the others would have run out before its renewal left.

    In a cluster two may be in one slot. While that moves, a script that names both is refused, and
    one that names one of them is not: each is renewed by itself.
    """
    slow, keys = Slow(is_cluster=is_cluster), Keys("t", 4096)
    pipe = cast(Pipe, slow)
    membership = Membership(pipe, keys, US, LEASE_MS)
    due = Trust(time.monotonic() + LEASE_MS / 1000 * 0.4)
    membership.trust, membership._said = due, WorkerState.UP
    keeper = LeaseKeeper(pipe, keys, membership, LEASE_MS, ConsumerMetrics(), own=lambda _: None)  # type: ignore[arg-type,return-value]
    of_one_slot = (10, 2541)
    assert len({slot_of(keys.partition(number).lease) for number in of_one_slot}) == 1
    for number in of_one_slot:
        keeper.partitions[number] = cast(Partition, Owned(number, due))
    going = asyncio.create_task(keeper.round())
    for _ in range(5):
        await asyncio.sleep(0)
    assert sorted(slow.asked) == ["PEXPIRE", *renewals]
    going.cancel()
    await asyncio.wait([going])


class Answered(Slow):
    """A pipe that answers a renewal with ``renewed``, and with what came ``meanwhile``."""

    def __init__(self, renewed: list[int], meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self.renewed = renewed
        self.meanwhile = meanwhile

    async def script(self, script: Script, keys: Sequence[Any], _args: Sequence[Any]) -> Any:
        """All at once."""
        if script.name != "renew":
            return await super().script(script, keys, _args)
        self.meanwhile()
        return self.renewed


async def test_each_lease_of_one_answer_is_kept_or_lost_by_itself() -> None:
    """A lost one steps down, and one that has a new epoch meanwhile is not given the old one."""
    due = Trust(time.monotonic() + LEASE_MS / 1000 * 0.4)
    owned = [Owned(number, due) for number in range(3)]

    def take_again() -> None:
        owned[2].lease = replace(owned[2].lease, epoch=2)

    pipe, keys = cast(Pipe, Answered([1, 0, 1], take_again)), Keys("t", 4)
    membership = Membership(pipe, keys, US, LEASE_MS)
    keeper = LeaseKeeper(pipe, keys, membership, LEASE_MS, ConsumerMetrics(), own=lambda _: None)  # type: ignore[arg-type,return-value]
    keeper.partitions.update({o.number: cast(Partition, o) for o in owned})
    membership.trust, membership._said = Trust(due.until_s + 60), WorkerState.UP
    going = asyncio.create_task(keeper.round())
    for _ in range(5):
        await asyncio.sleep(0)
    assert [o.lease.trust.until_s > due.until_s for o in owned] == [True, False, False]
    assert [o.lease.epoch for o in owned] == [1, 1, 2]
    assert [o.stepped_down for o in owned] == [False, True, False]
    going.cancel()
    await asyncio.wait([going])


async def test_what_is_on_other_servers_goes_on() -> None:
    """
    While the server of one partition and of another worker's key is away: that worker is not taken
    for dead, what is free elsewhere is taken, and the round says that it is not whole.
    """
    keys = Keys("t", 16)
    torn = Torn({keys.partition(0).lease, keys.worker(OTHER)})
    keeper, membership = keeper_of(torn, keys, LEASE_MS)
    ours = {number for number, owner in assign(16, sorted([US, OTHER])).items() if owner == US}
    with pytest.raises(NotConnected):
        await keeper.round()
    assert set(membership.live) == {US, OTHER}
    assert not any(asked.startswith("SREM") for asked in torn.asked)
    assert keeper.has_joined
    assert len(ours) > 2
    assert ours - {0} <= set(keeper.partitions)


async def test_no_look_at_others_makes_a_renewal_late() -> None:
    """
    Where a server is away, others are looked at until the next lease is to be renewed: each answer
    may take a quarter of a lease, and those that can be renewed would run out.
    """
    keys = Keys("t", 16)
    torn = Torn({keys.partition(0).lease}, silent={keys.worker(OTHER)})
    keeper, _ = keeper_of(torn, keys, lease_ms=300)
    async with asyncio.timeout(20):
        with pytest.raises(NotConnected):
            await keeper.round()
    assert f"look {keys.worker(OTHER)}" in torn.asked


async def test_an_outage_is_one_line_and_its_end_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several rounds fail a second, for as long as it lasts; another outage is told anew."""
    keeper, _ = keeper_of(Torn(()), Keys("t", 16), LEASE_MS)
    rounds = iter("xxx..xx.")

    async def round_() -> None:
        if next(rounds) == "x":
            raise NotConnected("its server is away")

    monkeypatch.setattr(keeper, "round", round_)
    monkeypatch.setattr(keeper, "_pause_s", float)
    monkeypatch.setattr(keeper, "_retry_s", float)
    with capture_logs() as lines, pytest.raises(RuntimeError, match="StopIteration"):
        await keeper.run()
    told = [line["event"] for line in lines if line["event"].startswith("keeper.")]
    assert told == ["keeper.delayed", "keeper.resumed"] * 2


class Timed(Torn):
    """Each answer takes a second of ``clock``."""

    def __init__(self, clock: list[float]) -> None:
        super().__init__(())
        self.clock = clock

    async def script(self, script: Script, keys: Sequence[Any], _args: Sequence[Any]) -> Any:
        """A second later."""
        self.clock[0] += 1.0
        return await super().script(script, keys, _args)


async def test_trust_counts_from_before_the_request_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the answer took: in Redis the lease may have begun at any time since."""
    clock = [100.0]
    monkeypatch.setattr("consumer.keeper.time", SimpleNamespace(monotonic=lambda: clock[0]))
    keeper, _ = keeper_of(Timed(clock), Keys("t", 16), LEASE_MS)
    lease = await keeper.acquire(5)
    assert lease is not None
    assert lease.trust == trust_from(100.0, LEASE_MS)
    await keeper._renew([keeper.partitions[0]])
    assert keeper.partitions[0].lease.trust == trust_from(101.0, LEASE_MS)


async def test_a_lease_that_another_holds_is_none() -> None:
    """Nothing is owned, and nothing is fenced by an epoch that nobody was given."""
    torn = Torn(())
    torn.answers = {"acquire": 0}
    keeper, _ = keeper_of(torn, Keys("t", 16), LEASE_MS)
    assert await keeper.acquire(5) is None
    assert not await keeper._take(5)
    assert 5 not in keeper.partitions


async def test_a_round_moves_towards_the_fair_assignment() -> None:
    """It takes what it has not of its share, and gives back the rest; what it has, it keeps."""
    keys, torn = Keys("t", 16), Torn(())
    keeper, _ = keeper_of(torn, keys, LEASE_MS)
    ours = {number for number, owner in assign(16, sorted([US, OTHER])).items() if owner == US}
    held = [cast(Owned, keeper.partitions[number]) for number in (0, 1)]
    await keeper.round()
    asked = {one for one in torn.asked if one.startswith("acquire")}
    assert asked == {f"acquire {keys.partition(number).lease}" for number in ours - {0, 1}}
    assert [one.stepped_down for one in held] == [one.number not in ours for one in held]
    assert torn.asked[-1] == f"ring {keys.bell}", "whoever waited for one looks again"


async def test_who_drains_takes_nothing_and_gives_everything_back() -> None:
    """Also what it had asked for before it was told to drain."""
    keys, torn = Keys("t", 16), Torn(())
    keeper, membership = keeper_of(torn, keys, LEASE_MS)
    held = [cast(Owned, keeper.partitions[number]) for number in (0, 1)]
    membership.state = WorkerState.DRAINING
    await keeper.round()
    assert [one.stepped_down for one in held] == [True, True]
    assert not any(asked.startswith("acquire") for asked in torn.asked)
    assert f"ring {keys.bell}" in torn.asked, "the others take what it gives back"
    assert not await keeper._take(5)
    assert torn.asked[-1] == f"release {keys.partition(5).lease}"
    assert 5 not in keeper.partitions


async def test_what_is_not_trusted_any_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though Redis does not answer: another worker may have it by now."""
    keeper, _ = keeper_of(Torn(()), Keys("t", 16), LEASE_MS)
    lost, kept = (cast(Owned, keeper.partitions[number]) for number in (0, 1))
    lost.lease = replace(lost.lease, trust=Trust(time.monotonic()))
    rounds = iter("x")

    async def round_() -> None:
        next(rounds)
        raise NotConnected("its server is away")

    monkeypatch.setattr(keeper, "round", round_)
    monkeypatch.setattr(keeper, "_retry_s", float)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await keeper.run()
    assert (lost.stepped_down, kept.stepped_down) == (True, False)


async def test_a_partition_that_was_taken_again_is_not_forgotten() -> None:
    """What ended was an earlier hold of it."""
    keeper, _ = keeper_of(Torn(()), Keys("t", 16), LEASE_MS)
    held = keeper.partitions[0]
    keeper.forget(cast(Partition, Owned(0, held.lease.trust)))
    assert keeper.partitions[0] is held
    keeper.forget(held)
    assert 0 not in keeper.partitions


async def test_a_pause_ends_in_time_for_the_next_renewal() -> None:
    """However late a bell's round came; and who is late already does not spin."""
    keeper, membership = keeper_of(Torn(()), Keys("t", 16), LEASE_MS)
    fresh = trust_from(time.monotonic(), LEASE_MS)
    membership.trust = fresh
    first, second = (cast(Owned, keeper.partitions[number]) for number in (0, 1))
    first.lease = second.lease = replace(first.lease, trust=fresh)
    assert keeper._pause_s() > 1.0
    second.lease = replace(second.lease, trust=Trust(fresh.until_s - 2.5))
    assert keeper._pause_s() <= 0.5
    second.lease = replace(second.lease, trust=Trust(fresh.until_s - 5.0))
    assert keeper._pause_s() >= 0.1


async def test_a_nudge_is_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bell rang once: the round after that waits as ever."""
    keeper, _ = keeper_of(Torn(()), Keys("t", 16), LEASE_MS)
    rounds: list[None] = []

    async def round_() -> None:
        rounds.append(None)

    monkeypatch.setattr(keeper, "round", round_)
    going = asyncio.create_task(keeper.run())
    for expected in (1, 2):
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(rounds) == expected
        keeper.nudge()
    going.cancel()
    await asyncio.wait([going])
