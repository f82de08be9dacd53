"""F4: Redis ran a command, and whoever sent it was not told: one entry, one window, one reply."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from ops.chaos.bench import Bench, Options, bench
from ops.chaos.load import Load
from ops.chaos.private_redis import PrivateRedis
from ops.chaos.tally import tally
from tests.support.fault_bench import assert_ledger, say
from tests.support.tcp_proxy import runs

DROPS = (
    *("append", "append", "read", "read", "start", "start", "finish", "finish"),
    *("renew", "send", "sent", "postpone"),
)

LEASE_MS = 6000
"""
The default. On a starved machine what goes through this process's proxies may take longer than a
short one, and then the lease explains what is called again; nothing here waits for its end.
"""

pytestmark = pytest.mark.timeout(180)


async def drop(made: Bench, script: str) -> None:
    """Drop the reply to the next run of a script that goes through a proxy."""
    proxy = made.proxies["i1" if script == "append" else "w1"]
    dropped = proxy.drop_reply(runs(script))
    async with asyncio.timeout(20.0):
        await dropped.wait()


async def dropped_replies(
    redis: PrivateRedis, folder: Path, chance: random.Random, scripts: Sequence[str]
) -> None:
    """One load, a drop per script of the list; no fault explains anything in the ledger."""
    load, settings = Load(per_s=80.0, asks_rate=0.1), {"lease_ms": LEASE_MS}
    options = Options(proxied=("i1", "w1"), load=load, settings=settings)
    async with bench(redis, folder, chance, options) as made:
        made.endpoint.error_rate = 0.05
        made.writers.start()
        for script in scripts:
            await asyncio.sleep(chance.uniform(0.2, 0.8))
            await drop(made, script)
        await assert_ledger(made)
        counts = tally(made.ledger.evidence)
        assert (counts.repeated, counts.outlived, counts.resent) == (0, 0, 0)
        rebuilt = await made.running["w1"].metric("takeovers_total", reason="disconnected")
        say(f"partitions rebuilt after a disconnection: {rebuilt:g}")
        assert rebuilt > 0, "void: no drop was felt"


@pytest.mark.short_fault
async def test_four_replies_dropped(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """The answers to an append, a read, a start and a finish are lost: nothing comes twice."""
    scripts = ["append", "read", "start", "finish"]
    await dropped_replies(private_redis, tmp_path, chance, scripts)


async def test_replies_dropped_after_every_write(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """Twelve lost answers, of every script on a message's way: nothing comes twice."""
    scripts = list(DROPS)
    chance.shuffle(scripts)
    await dropped_replies(private_redis, tmp_path, chance, scripts)
