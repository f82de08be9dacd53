"""F10 and F11: a Redis whose disk is full, and one that is out of memory."""

from __future__ import annotations

import asyncio
import random
import resource
from pathlib import Path

import pytest

from tests.support.handler_server import HandlerCall
from tests.support.loaded import (
    alive_again,
    begin_sending,
    drained,
    is_unready,
    loaded,
    settled,
    some_in_hand,
)
from tests.support.redis_server import RedisServer
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually, wait_until

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
        await some_in_hand(made, chance)
        limit_files(lazy_redis, 1)
        await is_unready(made, "MISCONF")
        accepted = made.ledger.accepted_count
        late = asyncio.create_task(made.send(LATE), name="late")
        await asyncio.sleep(chance.uniform(0.5, 4.0))
        assert not late.done()
        assert made.ledger.accepted_count == accepted, "accepted without a copy on a disk"
        limit_files(lazy_redis, resource.RLIM_INFINITY)
        took_s = await alive_again(made, "room-again")
        print(f"disk full, everysec: alive after {took_s:.2f} s")  # noqa: T201
        await late
        await settled(made, sending, ROUNDS)
        await assert_all_owned(workers)


async def test_always_and_a_full_disk(
    durable_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """Redis exits rather than answer; started again with room, it has all that was accepted."""
    async with loaded(durable_redis.url, prefix, tmp_path, chance) as made:
        workers = [await made.consumer(), await made.consumer()]
        sending = begin_sending(made, ROUNDS)
        await some_in_hand(made, chance)
        limit_files(durable_redis, 1)
        wait_until(lambda: not durable_redis.is_running(), "Redis to give up")
        accepted = made.ledger.accepted_count
        late = asyncio.create_task(made.send(LATE), name="late")
        await asyncio.sleep(chance.uniform(0.5, 4.0))
        assert not late.done()
        assert made.ledger.accepted_count == accepted, "accepted without a copy on a disk"
        durable_redis.start()
        took_s = await alive_again(made, "room-again")
        print(f"disk full, always: alive after {took_s:.2f} s")  # noqa: T201
        await late
        await settled(made, sending, ROUNDS)
        await assert_all_owned(workers)


async def test_out_of_memory_the_backlog_drains(
    own_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """``maxmemory`` reached: no append is taken, no lease is lost, and what is there is handled."""
    async with loaded(own_redis.url, prefix, tmp_path, chance) as made:
        released = asyncio.Event()
        quick = made.ledger.hold
        assert quick is not None

        async def hold(call: HandlerCall) -> None:
            await released.wait()
            await quick(call)

        made.ledger.hold = hold
        workers = [await made.consumer(), await made.consumer()]
        await asyncio.gather(*(worker.owns(4) for worker in workers))
        await begin_sending(made, ROUNDS)
        await eventually(lambda: len(made.ledger.in_hand) > 50, "void: a backlog")
        taken = [await worker.metric("takeovers_total") for worker in workers]
        await made.redis.config_set("maxmemory", "1")
        await is_unready(made, "OOM")
        accepted = made.ledger.accepted_count
        late = asyncio.create_task(made.send(LATE), name="late")
        released.set()
        await drained(made)
        assert not late.done()
        assert made.ledger.accepted_count == accepted, "an append was taken"
        await asyncio.gather(*(worker.owns(4) for worker in workers))
        for worker in workers:
            assert await worker.metric("fenced_total") == 0
        assert [await worker.metric("takeovers_total") for worker in workers] == taken
        assert refusals(await made.ingest.metrics()) > 0
        await made.redis.config_set("maxmemory", "0")
        took_s = await alive_again(made, "memory-again")
        print(f"maxmemory: alive after {took_s:.2f} s")  # noqa: T201
        await late
        await made.all_handled()
        await made.assert_one_reply_per_window()


def refusals(metrics: str) -> float:
    """How many requests ingest has answered 503."""
    lines = [line for line in metrics.splitlines() if 'reason="unavailable"' in line]
    return sum(float(line.split()[-1]) for line in lines)


def limit_files(redis: RedisServer, size: int) -> None:
    """No file of this server may grow beyond."""
    resource.prlimit(redis.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def assert_all_owned(workers: list[ServiceProcess]) -> None:
    """Every partition has an owner again, and each worker its share."""
    await asyncio.gather(*(worker.owns(4) for worker in workers))
