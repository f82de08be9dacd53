"""F10 and F11: a Redis whose disk is full, and one that is out of memory."""

from __future__ import annotations

import asyncio
import random
import resource
import time
from pathlib import Path

import pytest

from ops.chaos.bench import PREFIX, Bench, Options, bench
from ops.chaos.contents import leftovers
from ops.chaos.private_redis import PrivateRedis
from tests.support.fault_bench import assert_ledger, say, some_in_hand
from tests.support.loaded import (
    alive_again,
    begin_sending,
    is_unready,
    loaded,
    settled,
    some_at_work,
)
from tests.support.redis_server import RedisServer
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

LEASE_MS = 6000
"""The default: out of memory or not, a starved worker loses a short one."""

ROUNDS = 10
LATE = [("late", f"user-{number}") for number in range(20)]

pytestmark = pytest.mark.timeout(180)


async def test_everysec_and_a_full_disk(
    lazy_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """MISCONF: nothing is accepted meanwhile; all goes on by itself once there is room."""
    async with loaded(lazy_redis.url, prefix, tmp_path, chance) as made:
        workers = [await made.consumer(), await made.consumer()]
        sending = begin_sending(made, ROUNDS)
        await some_at_work(made, chance)
        limit_files(lazy_redis, 1)
        await is_unready(made, "MISCONF")
        accepted = made.ledger.accepted_count
        late = asyncio.create_task(made.send(LATE), name="late")
        await asyncio.sleep(chance.uniform(0.5, 4.0))
        assert not late.done()
        assert made.ledger.accepted_count == accepted, "accepted without a copy on a disk"
        limit_files(lazy_redis, resource.RLIM_INFINITY)
        took_s = await alive_again(made, "room-again")
        say(f"disk full, everysec: alive after {took_s:.2f} s")
        await late
        await settled(made, sending)
        await assert_all_owned(workers)


async def test_always_and_a_full_disk(
    durable_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """Redis exits rather than answer; started again with room, it has all that was accepted."""
    async with loaded(durable_redis.url, prefix, tmp_path, chance) as made:
        workers = [await made.consumer(), await made.consumer()]
        sending = begin_sending(made, ROUNDS)
        await some_at_work(made, chance)
        limit_files(durable_redis, 1)
        await eventually(lambda: not durable_redis.is_running(), "Redis to give up")
        await is_unready(made, "no answer")  # and what was answered before has arrived
        accepted = made.ledger.accepted_count
        late = asyncio.create_task(made.send(LATE), name="late")
        await asyncio.sleep(chance.uniform(0.5, 4.0))
        assert not late.done()
        assert made.ledger.accepted_count == accepted, "accepted without a copy on a disk"
        durable_redis.start()
        took_s = await alive_again(made, "room-again")
        say(f"disk full, always: alive after {took_s:.2f} s")
        await late
        await settled(made, sending)
        await assert_all_owned(workers)


async def test_out_of_memory_the_backlog_drains(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """``maxmemory``: no append is taken, no lease is lost; what is there is handled and sent."""
    options = Options(settings={"lease_ms": LEASE_MS})
    async with bench(private_redis, tmp_path, chance, options) as made:
        made.writers.start()
        workers = list(made.workers.values())

        async def is_shared() -> bool:
            return sorted([await one.metric("owned_partitions") for one in workers]) == [2, 3, 3]

        await eventually(is_shared, "partitions that move no more")
        for slot in sorted(made.workers):
            await some_in_hand(made, slot, 1)
        taken = [await worker.metric("takeovers_total") for worker in workers]
        disturbance = made.ledger.disturb("maxmemory reached")
        await made.redis.config_set("maxmemory", "1")
        renewed_s = time.monotonic() + made.lease_s

        async def is_empty_and_refusing() -> bool:
            spooled = await spooled_by(made)
            return spooled > 50 and not await leftovers(made.redis, PREFIX)

        await eventually(is_empty_and_refusing, "a backlog of 0 while messages wait", 60.0)
        # a lease that was not renewed since is lost by then
        await eventually(lambda: time.monotonic() > renewed_s, "the end of every old lease", 60.0)
        assert [await worker.metric("takeovers_total") for worker in workers] == taken
        for worker in workers:
            assert await worker.metric("fenced_total") == 0
        await made.redis.config_set("maxmemory", "0")

        async def is_taking() -> bool:
            return await spooled_by(made) == 0

        await eventually(is_taking, "appends that are taken again", 60.0)
        made.ledger.over(disturbance)
        await assert_ledger(made)


async def spooled_by(made: Bench) -> float:
    """Messages that ingest holds while Redis takes none."""
    ingests = [p for p in made.running.values() if p.service == "ingest"]
    return sum([await ingest.metric("spool_messages") for ingest in ingests])


def limit_files(redis: RedisServer, size: int) -> None:
    """No file of this server may grow beyond."""
    resource.prlimit(redis.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def assert_all_owned(workers: list[ServiceProcess]) -> None:
    """Every partition has an owner again, and each worker its share."""
    await asyncio.gather(*(worker.owns(4) for worker in workers))
