"""F8, with Sentinels: the primary is killed under load, a replica takes its place."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.redis_binary import ServerBinary
from tests.support.contents import leftovers
from tests.support.ledger import Ledger
from tests.support.loaded import USERS, begin_sending, some_time
from tests.support.recovery import Recovery, assert_running, lose, lost_of
from tests.support.redis_server import RedisServer
from tests.support.sentinel import SentinelDeployment
from tests.support.system import system
from tests.support.waiting import eventually

RESUME_S = 15.0
UNREPLICATED_S = 0.3
LOST = 10
"""At ``memory`` more messages than these are in the old primary alone when it goes."""

SETTLE_S = 5.0
"""So long nothing is handled any more: what is missing then was lost."""

SETTINGS: dict[str, Any] = {
    "max_wait_ms": 600,
    "partitions": 8,
    "max_attempts": 10,
    "lease_ms": 1500,
    "retry_base_ms": 50,
}

pytestmark = pytest.mark.timeout(180)


async def lose_the_replicas(url: str) -> None:
    """From now on a primary's writes reach nobody; whoever is connected besides stays so."""
    async with Redis.from_url(url, protocol=2) as redis:
        await redis.config_set("maxclients", 1)
        assert await redis.client_kill_filter(_type="replica") == 2


async def nothing_more_comes(ledger: Ledger, url: str, prefix: str) -> None:
    """Wait until the new primary is empty, and stays so while nothing is handled."""
    seen, since_s = -1, time.monotonic()
    redis = Redis.from_url(url, protocol=2)

    async def is_quiet() -> bool:
        nonlocal seen, since_s
        try:
            busy = bool(await leftovers(redis, prefix))
        except RedisError:
            busy = True
        if busy or len(ledger.calls) != seen:
            seen, since_s = len(ledger.calls), time.monotonic()
        return time.monotonic() - since_s > SETTLE_S or not (busy or lost_of(ledger))

    try:
        await eventually(is_quiet, "an end of the work", 60.0)
    finally:
        await redis.aclose()


async def take_away(primary: RedisServer, ledger: Ledger, durability: str, fault: str) -> None:
    """Kill or pause a primary; at ``memory`` it has messages then that nobody else has."""
    await lose_the_replicas(primary.url)
    known = lost_of(ledger)
    await asyncio.sleep(UNREPLICATED_S)
    if durability == "memory":
        await eventually(
            lambda: len(lost_of(ledger) - known) > LOST, "messages of the old primary alone"
        )
    lose(primary, fault)


async def resumed(
    redis: SentinelDeployment, old: RedisServer, ledger: Ledger, fault: str
) -> tuple[float, Recovery]:
    """Until messages are accepted and handled again; how long the failover and they took."""
    recovery = Recovery(ledger, len(USERS))
    failover = asyncio.create_task(asyncio.to_thread(redis.wait_for_failover, old))
    await eventually(recovery.is_over, "messages accepted and handled again", RESUME_S)
    failover_s = await failover
    if fault == "paused":
        old.resume()
    return failover_s, recovery


def figures(ledger: Ledger, failover_s: float, recovery: Recovery) -> str:
    """What was lost and repeated, and how long it took."""
    return (
        f"accepted {ledger.accepted_count}, lost {len(lost_of(ledger))}, "
        f"windows handled again {len(ledger.repeated)} of {len(ledger.window_ids)}, "
        f"failover {failover_s:.1f} s, accepted again after {recovery.accepted_s:.1f} s, "
        f"handled again after {recovery.handled_s:.1f} s"
    )


@pytest.mark.parametrize(
    "durability, fault",
    [("replicas:1", "killed"), ("memory", "killed"), ("replicas:1", "paused")],
)
async def test_a_primary_that_goes_is_replaced_under_load(
    redis_binary: ServerBinary,
    prefix: str,
    tmp_path: Path,
    chance: random.Random,
    durability: str,
    fault: str,
) -> None:
    """
    At ``replicas:1`` nothing that was accepted is lost, at ``memory`` losses are counted.

    For its last moments its replicas are cut off, so that it goes with writes that nobody has. One
    that was only paused comes back as a primary of yesterday, and answers what it was asked.
    Nobody crashes, and within 15 s messages are accepted and handled again. Windows may be
    handled again with other members: what the old primary alone knew is gone.
    """
    with SentinelDeployment(redis_binary) as redis:
        old = redis.primary
        async with system(
            redis.url, prefix, tmp_path, look_at=old.url, durability=durability, **SETTINGS
        ) as made:
            ledger = made.ledger
            ledger.hold = some_time(chance)
            services = [made.ingest, await made.consumer(), await made.consumer()]
            over = asyncio.Event()
            sending = begin_sending(made, over=over)
            await eventually(lambda: ledger.handled_count > 2 * len(USERS), "handled messages")
            await asyncio.sleep(chance.uniform(0.1, 0.6))
            await eventually(lambda: len(ledger.in_hand) >= 5, "windows in hand")
            await take_away(old, ledger, durability, fault)
            failover_s, recovery = await resumed(redis, old, ledger, fault)
            over.set()
            sent = await asyncio.wait_for(sending, 60)
            new = redis.primary
            assert new.port != old.port, "void: no failover"
            await nothing_more_comes(ledger, new.url, prefix)
            lost = lost_of(ledger)
            said = f"{durability}, {fault}: {figures(ledger, failover_s, recovery)}"
            print(said)  # noqa: T201  the counts are the outcome at memory
            assert ledger.accepted_count == sent
            if durability == "memory":
                assert lost, "void: the replicas had everything"
            else:
                assert not lost
            assert_running(services)
