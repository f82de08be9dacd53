"""F5: the way between a process and Redis is cut, half-open, sliced or slow."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from ops.chaos.bench import Options, bench
from ops.chaos.faults import (
    Fault,
    cut_network,
    half_open_network,
    sliced_network,
    slow_network,
    stalled_network,
)
from ops.chaos.load import Load
from ops.chaos.private_redis import PrivateRedis
from tests.support.fault_bench import assert_ledger
from tests.support.machine import watched_machine

ANSWER_S = 2.0
"""Ingest answers within this, whatever becomes of its connection; the test allows three times."""
ANSWER_TURNS = 6
"""Ingest's to read, to give up its connection and to answer; the proxy's and the sender's."""

SLOTS = ("w1", "w2", "i1", "i2")

pytestmark = pytest.mark.timeout(240)


async def harmed(
    redis: PrivateRedis,
    folder: Path,
    chance: random.Random,
    faults: Sequence[tuple[Fault, float]],
) -> None:
    """One load; each fault for so many seconds, on a worker or an ingest; the ledger asserted."""
    options = Options(proxied=SLOTS, load=Load(per_s=60.0))
    async with bench(redis, folder, chance, options) as made:
        with watched_machine() as machine:
            made.writers.start()
            for fault, for_s in faults:
                await asyncio.sleep(chance.uniform(0.5, 1.0))
                await fault(made, for_s)
                await made.all_owned()
            await assert_ledger(made)
        assert made.sender.slowest_s < machine.allows_s(3 * ANSWER_S, ANSWER_TURNS)


async def test_network_cut(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """Connections are closed and refused for 1 to 8 s: nothing is lost, and others take over."""
    faults = [(cut_network, for_s) for for_s in (1.0, 2.0, 4.0, 8.0)]
    await harmed(private_redis, tmp_path, chance, faults)


async def test_network_cut_for_a_minute(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """The longest cut: an ingest spools for a minute, a worker is dead to all others."""
    await harmed(private_redis, tmp_path, chance, [(cut_network, 60.0)])


async def test_network_half_open_and_stalled(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """Bytes are lost, or arrive seconds late under an old epoch: nothing is lost or twice."""
    faults: list[tuple[Fault, float]] = [(half_open_network, 2.0), (stalled_network, 3.0)] * 2
    faults += [(half_open_network, 5.0), (stalled_network, 5.0)]
    await harmed(private_redis, tmp_path, chance, faults)


async def test_network_sliced_and_slow(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """1-byte pieces, and 200 to 2000 ms of latency: slower, and nothing else."""
    faults: list[tuple[Fault, float]] = [(sliced_network, 3.0)] * 2
    faults += [(slow_network(delay_s), 5.0) for delay_s in (0.2, 0.7, 2.0)]
    await harmed(private_redis, tmp_path, chance, faults)


async def test_a_fault_lasts_until_it_is_felt(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """Whom the machine keeps from the CPU says nothing meanwhile, and so nothing is harmed."""
    options = Options(ingests=1, workers=1, proxied=("w1",))
    async with bench(private_redis, tmp_path, chance, options) as made:
        made.running["w1"].pause()
        private_redis.pause()
        await asyncio.sleep(made.lease_s / 2)  # what was on its way arrives
        before = made.proxies["w1"].harmed
        fault = asyncio.create_task(stalled_network(made, 0.1))
        await asyncio.sleep(2 * made.lease_s)
        assert not fault.done(), "it was over before anything was harmed"
        private_redis.resume()
        made.running["w1"].resume()
        await fault
        assert made.proxies["w1"].harmed > before
