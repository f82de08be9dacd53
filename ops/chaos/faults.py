"""
The faults: each does its harm to a bench for a while, and heals it.

Which process it takes is drawn from the bench's chance, among those that no other fault has.
What is done is noted in the ledger first, so that its consequences are explained, and no others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from ops.chaos.bench import Bench
from ops.chaos.evidence import SETTLE_LEASES, Disturbance
from ops.chaos.proxy import TcpProxy
from ops.chaos.waiting import eventually

Fault = Callable[[Bench, float], Awaitable[None]]
"""Harms a bench for so many seconds."""

RECOVERY_LIMIT_S = 30.0

_LOOP = "for _ = 1, tonumber(ARGV[1]) do end"
_TRIAL = 5_000_000


async def kill_worker(made: Bench, _for_s: float) -> None:
    """
    SIGKILL of a worker; another one is started in its place at once.

    The slot is free again when that one is ready: until then nothing of it could be harmed.
    """
    async with made.taking("consumer") as slot:
        async with recovering(made, slot) as disturbance:
            made.running[slot].kill()
            made.ledger.killed(disturbance)
            heir = made.respawn(slot)
        await heir.ready()


async def kill_ingest(made: Bench, for_s: float) -> None:
    """SIGKILL of an ingest; it is started again ``for_s`` later."""
    async with made.taking("ingest") as slot:
        disturbance = made.ledger.disturb("kill of ingest", [made.running[slot].name])
        made.running[slot].kill()
        made.ledger.killed(disturbance)
        await asyncio.sleep(for_s)
        await made.respawn(slot).ready()


async def pause_worker(made: Bench, for_s: float) -> None:
    """SIGSTOP of a worker for ``for_s``, then SIGCONT."""
    async with made.taking("consumer") as slot:
        victim = made.running[slot]
        async with disturbing(made, f"pause for {for_s:.1f} s", victim.name):
            victim.pause()
            try:
                await asyncio.sleep(for_s)
            finally:
                victim.resume()


async def drain_worker(made: Bench, _for_s: float) -> None:
    """SIGTERM of a worker, as a deploy does; another one is started in its place."""
    async with made.taking("consumer") as slot:
        await made.running[slot].stop()
        await made.respawn(slot).ready()


async def pause_redis(made: Bench, for_s: float) -> None:
    """SIGSTOP of Redis for ``for_s``: connections stay open and nothing answers."""
    async with made.taking_redis(), disturbing(made, f"Redis paused for {for_s:.1f} s"):
        made.redis_server.pause()
        try:
            await asyncio.sleep(for_s)
        finally:
            made.redis_server.resume()


async def kill_redis(made: Bench, for_s: float) -> None:
    """SIGKILL of Redis, which has on disk what it answered; it is started ``for_s`` later."""
    async with made.taking_redis(), disturbing(made, f"Redis away for {for_s:.1f} s"):
        made.redis_server.kill()
        await asyncio.sleep(for_s)
        made.redis_server.spawn()
        await asyncio.to_thread(made.redis_server.ready)


async def busy_redis(made: Bench, for_s: float) -> None:
    """Redis runs one script for about ``for_s`` and answers nobody else."""
    async with (
        made.taking_redis(),
        Redis.from_url(made.redis_server.url, protocol=2, socket_timeout=60) as redis,
    ):
        began_s = time.monotonic()
        await redis.eval(_LOOP, 0, str(_TRIAL))
        per_s = _TRIAL / (time.monotonic() - began_s)
        async with disturbing(made, f"Redis busy for {for_s:.1f} s"):
            await redis.eval(_LOOP, 0, str(int(per_s * for_s)))


async def cut_network(made: Bench, for_s: float) -> None:
    """A process loses its connections to Redis and gets no new ones for ``for_s``."""

    async def harm(proxy: TcpProxy) -> None:
        await proxy.cut(stays=True)

    await _on_the_way(made, for_s, "network cut", harm)


async def half_open_network(made: Bench, for_s: float) -> None:
    """Connections of a process stay open and everything on them is lost for ``for_s``."""

    async def harm(proxy: TcpProxy) -> None:
        proxy.swallow()

    await _on_the_way(made, for_s, "half-open", harm)


async def stalled_network(made: Bench, for_s: float) -> None:
    """What a process and Redis say to each other arrives ``for_s`` late."""

    async def harm(proxy: TcpProxy) -> None:
        proxy.hold()

    await _on_the_way(made, for_s, "stalled", harm)


async def sliced_network(made: Bench, for_s: float) -> None:
    """What a process and Redis say to each other goes in pieces of one byte for ``for_s``."""

    async def harm(proxy: TcpProxy) -> None:
        proxy.slice_bytes = 1

    await _on_the_way(made, for_s, "1-byte slices", harm)


def slow_network(delay_s: float) -> Fault:
    """What a process and Redis say to each other takes ``delay_s`` longer, each way half."""

    async def harm(proxy: TcpProxy) -> None:
        proxy.delay_s = delay_s / 2

    async def slow(made: Bench, for_s: float) -> None:
        await _on_the_way(made, for_s, f"{delay_s:.1f} s of latency", harm)

    return slow


async def _on_the_way(
    made: Bench, for_s: float, what: str, harm: Callable[[TcpProxy], Awaitable[None]]
) -> None:
    """It lasts longer where the process has not felt it: each harms something."""
    async with made.taking_network() as slot:
        proxy, name = made.proxies[slot], made.running[slot].name
        before = proxy.harmed
        async with disturbing(made, f"{what} for {for_s:.1f} s", name):
            await harm(proxy)
            try:
                await asyncio.sleep(for_s)
                # it may have had nothing to say, or was kept from saying it by the machine
                await eventually(
                    lambda: proxy.harmed > before, f"void: {name} felt {what}", RECOVERY_LIMIT_S
                )
            finally:
                await proxy.heal()


@asynccontextmanager
async def disturbing(made: Bench, what: str, *victims: str) -> AsyncIterator[Disturbance]:
    """Noted in the ledger from the block's begin to its end; no victims: everybody's."""
    settle_s = SETTLE_LEASES * made.lease_s
    disturbance = made.ledger.disturb(what, victims, settle_s=settle_s)
    try:
        yield disturbance
    finally:
        made.ledger.over(disturbance)


@asynccontextmanager
async def recovering(made: Bench, slot: str, what: str = "kill") -> AsyncIterator[Disturbance]:
    """
    A worker is killed inside; at the end all that it owned has other owners.

    The time from the kill until then is noted as a recovery of the bench.
    """
    victim = made.running[slot].worker_id
    owned = {n for n, worker in (await made.lease_owners()).items() if worker == victim}
    disturbance = made.ledger.disturb(what, [made.running[slot].name])
    yield disturbance

    async def is_taken_over() -> bool:
        owners = await made.lease_owners()
        return all(owners.get(number, victim) != victim for number in owned)

    await eventually(is_taken_over, f"other owners of {sorted(owned)}", RECOVERY_LIMIT_S)
    if owned:
        made.recoveries_s.append(time.monotonic() - disturbance.began_s)
