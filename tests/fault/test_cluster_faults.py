"""F8, with a cluster: slots of live partitions move, and a master is killed, under load."""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shared.cluster.slots import slot_of
from shared.keys import Keys, partition_of
from shared.redis_binary import ServerBinary
from tests.support.cluster import RedisCluster, ask
from tests.support.ledger import Ledger, Who
from tests.support.loaded import some_time
from tests.support.recovery import assert_running, handled_since, lose, lost_of, out_of_order
from tests.support.redis_server import RedisServer
from tests.support.slot_moves import moving
from tests.support.system import System, system
from tests.support.waiting import eventually, wait_until

USERS: list[Who] = [(f"shop-{number % 8}", f"user-{number}") for number in range(150)]
PARTITIONS = 8
RESUME_S = 15.0
SETTINGS: dict[str, Any] = {"max_wait_ms": 600, "partitions": PARTITIONS, "retry_base_ms": 50}

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def cluster(redis_binary: ServerBinary) -> Iterator[RedisCluster]:
    """Three masters, each with a replica."""
    with RedisCluster(redis_binary) as made:
        yield made


@asynccontextmanager
async def under_load(made: System, chance: random.Random) -> AsyncIterator[None]:
    """Messages come all the time inside, from when windows are in hand; handlers take some time."""
    enough = asyncio.Event()

    async def send() -> None:
        while not enough.is_set():
            await made.send_rounds(USERS, 5, pause_s=0.2)

    ledger = made.ledger
    ledger.hold = some_time(chance)
    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        await eventually(lambda: ledger.handled_count > 2 * len(USERS), "handled messages")
        await eventually(lambda: len(ledger.in_hand) >= 5, "windows in hand")
        yield
        enough.set()


def move_all(cluster: RedisCluster, keys: Keys, chance: random.Random) -> float:
    """
    Move each partition's slot to another master; every second one stays between two nodes for a
    while. How long the longest was on its way.
    """
    longest_s = 0.0
    for number in range(keys.partitions):
        slot = slot_of(keys.partition(number).ready)
        source = cluster.owner_of(slot)
        target = chance.choice([server for server in cluster.masters if server is not source])
        began_s = time.monotonic()
        with moving(cluster, slot, target) as move:
            if number % 2:
                move.some_keys(5)
                time.sleep(chance.uniform(0.1, 0.5))
        assert move.moved, "void: nothing was in the slot"
        longest_s = max(longest_s, time.monotonic() - began_s)
    return longest_s


def refusals(cluster: RedisCluster) -> dict[str, int]:
    """How often the masters said which error so far."""
    found: dict[str, int] = {}
    for server in cluster.masters:
        info = ask(server, "INFO", "errorstats").decode()
        for code, count in re.findall(r"errorstat_(\w+):count=(\d+)", info):
            found[code] = found.get(code, 0) + int(count)
    return found


@asynccontextmanager
async def nobody_is_hurt(
    cluster: RedisCluster, prefix: str, folder: Path, chance: random.Random
) -> AsyncIterator[Keys]:
    """
    A system under load inside; at the end nothing is lost, split, in another order or handled
    twice, and nobody has crashed.
    """
    async with system(cluster.url, prefix, folder, **SETTINGS) as made:
        services = [made.ingest, await made.consumer(), await made.consumer()]
        async with under_load(made, chance):
            yield Keys(prefix, PARTITIONS)
        await made.all_handled()
        await made.assert_one_reply_per_window()
        assert_running(services)


async def test_slots_of_live_partitions_move(
    cluster: RedisCluster, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """Every partition moves twice, half of them so slowly that their keys are on two nodes."""
    async with nobody_is_hurt(cluster, prefix, tmp_path, chance) as keys:
        for _ in range(2):
            longest_s = await asyncio.to_thread(move_all, cluster, keys, chance)
            print(f"slots moved, the slowest in {longest_s:.2f} s")  # noqa: T201  a figure
        met = refusals(cluster)
        print(met)  # noqa: T201  figures
        assert {"MOVED", "ASK", "TRYAGAIN"} <= met.keys(), "void: nothing was sent elsewhere"


def reshard(cli: str, cluster: RedisCluster, source: RedisServer, target: RedisServer) -> str:
    """All that ``source`` has moves to ``target``, as docs/cluster.md says; what the tool said."""
    where = f"127.0.0.1:{source.port}"
    ids = ("--cluster-from", cluster.node_id(source), "--cluster-to", cluster.node_id(target))
    done = subprocess.run(
        [cli, "--cluster", "reshard", where, *ids, "--cluster-slots", "16384", "--cluster-yes"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
    return done.stdout


async def test_the_usual_tool_empties_a_master_under_load(
    cluster: RedisCluster, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """A node is taken out of service by ``redis-cli --cluster reshard``."""
    cli = shutil.which("redis-cli")
    if cli is None:
        pytest.skip("no redis-cli here")
    async with nobody_is_hurt(cluster, prefix, tmp_path, chance) as keys:
        slots = [slot_of(keys.partition(number).ready) for number in range(PARTITIONS)]
        leaving = cluster.owner_of(slots[0])
        target = next(server for server in cluster.masters if server is not leaving)
        began_s = time.monotonic()
        await asyncio.to_thread(reshard, cli, cluster, leaving, target)
        print(f"a master emptied in {time.monotonic() - began_s:.1f} s")  # noqa: T201  a figure
        assert all(cluster.owner_of(slot) is not leaving for slot in slots)


async def bring_back(cluster: RedisCluster, old: RedisServer, key: str, fault: str) -> float:
    """Once another node has ``key``; how long that took. As a replica it makes WAIT possible."""
    began_s = time.monotonic()
    has_left = partial(wait_until, lambda: cluster.master_of(key) is not old, "another master", 30)
    await asyncio.to_thread(has_left)
    took_s = time.monotonic() - began_s
    if fault == "killed":
        old.start()
    else:
        old.resume()
    return took_s


async def resumed(ledger: Ledger) -> float:
    """Until messages of all partitions are accepted and handled again; how long that took."""
    gone_s, gone_ms = time.monotonic(), time.time() * 1000

    def is_so() -> bool:
        found = {partition_of(*who, PARTITIONS) for who in handled_since(ledger, gone_ms)}
        return len(found) == PARTITIONS

    await eventually(is_so, "all partitions' messages accepted and handled again", RESUME_S)
    return time.monotonic() - gone_s


@pytest.mark.parametrize(
    "fault, on_outage", [("killed", "reject"), ("paused", "reject"), ("killed", "spool")]
)
async def test_a_master_that_goes_is_replaced_under_load(
    cluster: RedisCluster,
    prefix: str,
    tmp_path: Path,
    chance: random.Random,
    fault: str,
    on_outage: str,
) -> None:
    """
    At ``replicas:1`` nothing that was accepted is lost, split or out of order, and within 15 s
    messages of all partitions are accepted and handled again; nobody crashes. It comes back as a
    replica, for its place is taken by the only one that there was.
    """
    keys = Keys(prefix, PARTITIONS)
    async with system(
        cluster.url,
        prefix,
        tmp_path,
        max_attempts=10,
        lease_ms=1500,
        durability="replicas:1",
        on_outage=on_outage,
        spool_dir=str(tmp_path / "spool"),
        **SETTINGS,
    ) as made:
        ledger = made.ledger
        services = [made.ingest, await made.consumer(), await made.consumer()]
        async with under_load(made, chance):
            key = keys.partition(0).ready
            old = cluster.master_of(key)
            lose(old, fault)
            back = asyncio.create_task(bring_back(cluster, old, key, fault))
            took_s = await resumed(ledger)
            print(f"{fault}: another master after {await back:.1f} s")  # noqa: T201  a figure
            print(f"all partitions after {took_s:.1f} s")  # noqa: T201  a figure
        await eventually(lambda: not lost_of(ledger), "what was accepted, in the handler", 60)
        assert not out_of_order(ledger)
        if on_outage == "reject":  # of what was spooled, the ledger does not know the entry
            assert not ledger.problems(made.rules)
        assert cluster.master_of(key) is not old, "void: no failover"
        assert_running(services)
