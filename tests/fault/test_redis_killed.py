"""F7: kill -9 of Redis under load, by how it syncs its file."""

from __future__ import annotations

import asyncio
import random
import resource
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ops.chaos.bench import bench
from ops.chaos.private_redis import PrivateRedis
from ops.chaos.processes import ServiceProcess
from tests.support.fault_bench import answered_in, assert_ledger, some_in_hand
from tests.support.loaded import (
    LEASE_MS,
    USERS,
    begin_sending,
    drained,
    loaded,
    some_at_work,
)
from tests.support.lost_writes import Kill, Moment, judge_with_lost_writes
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

KILLS = 3
SINGLES = 20
"""Messages in requests of their own: one of several is accepted only when all of them are."""

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize("kills", [pytest.param(1, marks=pytest.mark.short_fault), KILLS])
async def test_with_always_nothing_is_lost(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random, kills: int
) -> None:
    """``appendfsync always``, up to two leases away: every check of the ledger holds."""
    async with bench(private_redis, tmp_path, chance) as made:
        made.writers.start()
        for slot in sorted(made.workers):  # who has no partition yet rebuilds none
            await some_in_hand(made, slot, 1)
        taken = await takeovers(made.workers.values())
        for _ in range(kills):
            await some_in_hand(made, made.chance.choice(sorted(made.workers)))
            disturbance = made.ledger.disturb("kill of Redis", settle_s=2 * made.lease_s)
            private_redis.kill()
            # a start may stand whose answer was lost, and its worker be taken for dead meanwhile
            disturbance.kills = True
            await asyncio.sleep(chance.uniform(0.0, 2 * made.lease_s))
            private_redis.start()
            await answered_in(made, f"after-{time.monotonic_ns()}")
            made.ledger.over(disturbance)
        await assert_rebuilt(made.workers.values(), taken)
        await assert_ledger(made)


async def test_with_everysec_the_last_two_seconds_may_be_lost(
    lazy_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """``everysec``: nothing older than two seconds is lost; what is lost is counted."""
    async with loaded(lazy_redis.url, prefix, tmp_path, chance) as made:
        made.ledger.sends_again = lambda: False  # the first one may be lost between the two
        workers = [await made.consumer(), await made.consumer()]
        for worker in workers:
            await worker.owns(4)
        taken = await takeovers(workers)
        over = asyncio.Event()
        sending = begin_sending(made, over=over)
        kills: list[Kill] = []
        async with asyncio.TaskGroup() as group:
            for number in range(KILLS):
                await some_at_work(made, chance)
                before = Moment.now()
                if number > 0:
                    lazy_redis.pause()
                    for user in range(SINGLES):
                        group.create_task(made.send([("alone", f"user-{number}-{user}")]))
                    before = await let_writes_fail(lazy_redis, made.redis)
                kills.append(await kill_and_restart(lazy_redis, before, chance))
            over.set()
            sent = await sending
        assert made.ledger.accepted_count == sent + (KILLS - 1) * SINGLES
        await drained(made)
        await assert_rebuilt(workers, taken)
        found = judge_with_lost_writes(made.ledger, made.rules, kills)
        print(  # noqa: T201
            f"everysec: {len(found.lost)} of {made.ledger.accepted_count} lost by Redis, "
            f"{len(found.exempt)} of {len(USERS)} users exempt from the comparison"
        )
        assert not found.problems, "\n".join(found.problems[:20])


async def kill_and_restart(redis: RedisServer, before: Moment, chance: random.Random) -> Kill:
    """SIGKILL; up again after up to two leases."""
    redis.kill()
    killed = Kill(before, Moment.now())
    await asyncio.sleep(chance.uniform(0.0, 2 * LEASE_MS / 1000))
    redis.start()
    return killed


async def let_writes_fail(redis: RedisServer, client: Redis) -> Moment:
    """
    A disk that is full: what Redis answered before it noticed is in its memory alone.

    The kill of a process otherwise takes nothing along: the kernel has what was written. It was
    stopped, so that commands wait for it, which it all answers before it notices. Gives the moment
    before.
    """
    await asyncio.sleep(0.3)
    resource.prlimit(redis.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    before = Moment.now()
    redis.resume()

    async def is_refused() -> bool:
        try:
            await client.set("disk", "full")
        except RedisError as error:
            return "MISCONF" in str(error)
        return False

    await eventually(is_refused, "a Redis that cannot write")
    return before


async def takeovers(workers: Iterable[ServiceProcess]) -> list[float]:
    """How often each worker has rebuilt a partition."""
    return [await worker.metric("takeovers_total") for worker in workers]


async def assert_rebuilt(workers: Iterable[ServiceProcess], taken: Sequence[float]) -> None:
    """The fault was felt: every worker, which had partitions, has rebuilt some since."""

    async def is_so() -> bool:
        return all(now > then for now, then in zip(await takeovers(workers), taken, strict=True))

    await eventually(is_so, "void: partitions that every worker has rebuilt", 20.0)
