"""F15 and F16: deploys without a gap, and workers that come and go."""

from __future__ import annotations

import asyncio
import random
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from ops.chaos.bench import Bench, Options, bench
from ops.chaos.evidence import Call, Who
from ops.chaos.load import Load
from ops.chaos.private_redis import PrivateRedis
from ops.chaos.waiting import eventually
from tests.support.fault_bench import assert_ledger, say, some_in_hand
from tests.support.lease_watch import LeaseWatch, watched_leases
from tests.support.machine import watched_machine

EVERY_S = 5.0
PER_S = 300.0
HANDLER_S = 3.0
HANDOVER_LIMIT_S = 1.0
"""By Redis's own clock: it takes 0.01 s, and 0.03 s where others take both cores."""
HANDOVER_TURNS = 8
"""
The old owner's to ring, the new one's to hear it, to look who is there, what they do, and to take
the lease; Redis's each time. Each waits for the CPU, which on a starved machine is no longer quick.
"""
FULL_LOAD_LIMIT_S = 3.0
"""
The same, and how long nothing starts, where load and workers take both cores: the goal is 1 s, and
the machine decides. With two more processes that take them, 0.2 s and 2 s were seen.
"""
START_TURNS = HANDOVER_TURNS + 4
"""Before a window starts there come a claim, a look, a read and the start itself."""
LEAVE_TURNS = 6
"""The worker's to hear the signal, to give its windows and leases back, to end; Redis's each."""
OTHERS_S = 15.0
"""A deadline for a look from outside: how long it took is judged by Redis's own clock."""

PARTITIONS = 8
# Nobody dies here, and many start at once under load: a shorter one would run out meanwhile.
LEASE_MS = 6000
LOAD = Load(
    instances=8,
    users_per_instance=200,
    per_s=PER_S,
    writers=300,
    burst_max=5,
    pause_max_s=1.2,
    twice_rate=0.0,
    poison_rate=0.0,
)

pytestmark = pytest.mark.timeout(240)


@asynccontextmanager
async def steady(
    redis: PrivateRedis, folder: Path, chance: random.Random, *, workers: int, load: Load = LOAD
) -> AsyncIterator[Bench]:
    """A bench whose handler takes three seconds and never fails."""
    settings = {"max_wait_ms": 800, "lease_ms": LEASE_MS, "drain_ms": 10_000}
    options = Options(workers=workers, load=load, settings=settings)
    async with bench(redis, folder, chance, options) as made:
        made.endpoint.error_rate = 0.0
        made.endpoint.shortest_s = made.endpoint.longest_s = HANDLER_S
        yield made


def partition_of(who: Who) -> int:
    """Where a user's messages are, by DESIGN.md's formula."""
    return zlib.crc32(f"{who[0]}\0{who[1]}".encode()) % PARTITIONS


def gaps_s(
    calls: Iterable[Call], partitions: set[int], since_s: float, until_s: float
) -> list[float]:
    """
    For each partition the longest time between two moments without a start of a window.

    Nobody may wait for one longer. Where none started, that is all of it.
    """
    starts: dict[int, list[float]] = {number: [since_s] for number in partitions}
    for call in calls:
        number = partition_of(call.who)
        if number in starts and call.began_s >= since_s:
            starts[number].append(call.began_s)
    whole_s = until_s - since_s
    return [max((b - a for a, b in pairwise(t)), default=whole_s) for t in starts.values()]


async def replace_worker(made: Bench, slot: str) -> tuple[list[float], float]:
    """
    SIGTERM; a new worker once the old one has ended and all that it owned is owned again. How long
    each of its partitions then started nothing, and how long it took to leave.
    """
    victim = made.running[slot]
    await some_in_hand(made, slot, 10)
    owned = {n for n, w in (await made.lease_owners()).items() if w == victim.worker_id}
    assert owned, "void: it owned nothing"
    began_s = time.monotonic()
    ending = asyncio.create_task(victim.stop(limit_s=20.0))

    async def is_handed_over() -> bool:
        owners = await made.lease_owners()
        return all(owners.get(n, victim.worker_id) != victim.worker_id for n in owned)

    await eventually(is_handed_over, f"other owners of {owned}", OTHERS_S)
    assert await ending == 0
    left_s = time.monotonic() - began_s
    assert not made.ledger.calls_in_hand_of(victim.name), "it left while its handlers worked"
    until_s = min(time.monotonic(), began_s + EVERY_S)
    later = [c for c in made.ledger.evidence.calls if c.began_s < until_s]
    made.spawn(slot, "consumer")
    await made.running[slot].ready()
    return gaps_s(later, owned, began_s, until_s), left_s


async def test_rolling_restart_of_all_workers(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """One every 5 s under 300 messages/s: no handler repeats, and others go on within a second."""
    async with steady(private_redis, tmp_path, chance, workers=3) as made:
        made.writers.start()
        began_s, gaps, leaving_s = time.monotonic(), list[float](), list[float]()
        with watched_machine() as machine:
            async with watched_leases(private_redis.url) as leases:
                for slot in sorted(made.workers):
                    next_s = time.monotonic() + EVERY_S
                    more, took_s = await replace_worker(made, slot)
                    gaps += more
                    leaving_s.append(took_s)
                    await asyncio.sleep(max(0.0, next_s - time.monotonic()))
        sent = sum(1 for sent in made.ledger.evidence.sent.values() if sent.is_accepted)
        rate = sent / (time.monotonic() - began_s)
        await assert_ledger(made)
        assert_each_once(made.ledger.evidence.calls)
        gaps.sort()
        say(f"{rate:.0f} messages/s")
        middle = gaps[len(gaps) // 2]
        say(f"longest time without a start, by partition: p50 {middle:.2f} s, most {gaps[-1]:.2f}")
        say(f"who waited longest for the CPU did for {machine.worst_s:.3f} s")
        assert rate > PER_S / 3, "void: hardly any load"
        limit_s = machine.allows_s(FULL_LOAD_LIMIT_S, START_TURNS)
        assert gaps[-1] < limit_s
        assert max(leaving_s) < HANDLER_S + limit_s, "it stayed though nothing was in hand"
        assert_handed_over(leases, PARTITIONS, machine.allows_s(FULL_LOAD_LIMIT_S, HANDOVER_TURNS))


async def test_a_drain_ends_in_time(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """After ``drain_ms`` the rest is given back uncounted, and another worker runs it again."""
    load = Load(instances=4, users_per_instance=50, per_s=100.0, writers=60, poison_rate=0.0)
    settings = {"drain_ms": 1000, "lease_ms": LEASE_MS}
    options = Options(workers=2, load=load, settings=settings)
    async with bench(private_redis, tmp_path, chance, options) as made:
        made.endpoint.error_rate = 0.0
        made.endpoint.shortest_s = made.endpoint.longest_s = 8.0
        made.writers.start()
        await some_in_hand(made, "w1", 10)
        leaving = made.running.pop("w1")
        disturbance = made.ledger.disturb("drain", [leaving.name])
        with watched_machine() as machine:
            began_s = time.monotonic()
            assert await leaving.stop() == 0
            took_s = time.monotonic() - began_s
        made.ledger.over(disturbance)
        cut_short = {call.window_id for call in made.ledger.calls_in_hand_of(leaving.name)}
        say(f"it left after {took_s:.2f} s with {len(cut_short)} handlers at work")
        assert cut_short, "void: nothing was cut short"
        assert 1.0 <= took_s < machine.allows_s(4.0, LEAVE_TURNS)
        made.endpoint.shortest_s = made.endpoint.longest_s = 0.05
        await made.writers.stop()
        await assert_ledger(made)
        again = [c for c in made.ledger.evidence.calls if c.window_id in cut_short]
        assert {call.attempt for call in again} == {1}
        assert len(again) == 2 * len(cut_short)


async def balanced(made: Bench) -> None:
    """Wait until the workers that run own all partitions, evenly to within one."""

    async def is_so() -> bool:
        owners = Counter((await made.lease_owners()).values())
        counts = [owners[process.worker_id] for process in made.workers.values()]
        return sum(counts) == PARTITIONS and max(counts) - min(counts) <= 1

    await eventually(is_so, "partitions shared evenly", 15.0)


def workers_called(made: Bench) -> set[str]:
    """The workers that have handed a window over."""
    return {call.worker for call in made.ledger.evidence.calls}


async def test_scaling_up_and_down(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """1 -> 8 -> 2 workers, six of them drained: an owner all the time, and each window once."""
    load = Load(instances=8, users_per_instance=100, per_s=100.0, writers=40, poison_rate=0.0)
    settings = {"lease_ms": LEASE_MS, "partitions": PARTITIONS}
    options = Options(workers=1, load=load, settings=settings)
    async with bench(private_redis, tmp_path, chance, options) as made:
        made.endpoint.error_rate = 0.0
        with watched_machine() as machine:
            leases = await scale_up_and_down(made, private_redis, chance)
        await assert_ledger(made)
        assert_each_once(made.ledger.evidence.calls)
        assert not leases.taken_from_the_living(), "a lease has expired though nobody died"
        say(f"who waited longest for the CPU did for {machine.worst_s:.3f} s")
        limit_s = machine.allows_s(HANDOVER_LIMIT_S, HANDOVER_TURNS)
        assert_handed_over(leases, 2 * (PARTITIONS - 1), limit_s)


async def scale_up_and_down(made: Bench, redis: PrivateRedis, chance: random.Random) -> LeaseWatch:
    """One worker, eight, two; what became of the leases meanwhile."""
    made.writers.start()
    async with watched_leases(redis.url) as leases:
        for number in range(2, 9):
            made.spawn(f"w{number}", "consumer")
            await made.running[f"w{number}"].ready()
            await balanced(made)
        assert len(set((await made.lease_owners()).values())) == 8, "void: not all own some"
        await eventually(lambda: len(workers_called(made)) == 8, "a window of each", 30.0)
        leaving = chance.sample(sorted(made.workers), 6)
        ends = []
        for slot in leaving:
            process = made.running.pop(slot)
            ends.append(asyncio.create_task(process.stop(limit_s=20.0)))
            await asyncio.sleep(chance.uniform(0.0, 0.5))
        assert set(await asyncio.gather(*ends)) == {0}
        await balanced(made)
    return leases


def assert_each_once(calls: list[Call]) -> None:
    """No handler has repeated."""
    assert len({call.window_id for call in calls}) == len(calls), "a handler has repeated"
    assert {call.attempt for call in calls} == {1}


def assert_handed_over(leases: LeaseWatch, at_least: int, limit_s: float) -> None:
    """Every lease that was given back was taken by the next one at once."""
    taken = sorted(leases.handovers_s())
    assert len(taken) >= at_least, "void: hardly any was handed over"
    say(
        f"{len(taken)} leases handed over, without an owner for {taken[len(taken) // 2]:.3f} s"
        f" at the median, {taken[-1]:.3f} at most"
    )
    assert taken[-1] < limit_s
