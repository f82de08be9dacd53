"""F9: what one command of an operator does to a running system: FLUSHALL, XGROUP DESTROY, ..."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from ops.chaos.bench import PREFIX, Bench, bench
from ops.chaos.contents import keys_of
from ops.chaos.private_redis import PrivateRedis
from tests.support.fault_bench import answered_in, assert_ledger, say, some_in_hand
from tests.support.ledger import Ledger, Who
from tests.support.loaded import (
    alive_again,
    begin_sending,
    drained,
    is_unready,
    loaded,
    settled,
    some_at_work,
)
from tests.support.redis_server import RedisServer
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(180)

UNREAD: list[Who] = [("shop-0", f"unread-{number}") for number in range(60)]
"""Who write while no worker reads."""

Effect = Callable[[], Awaitable[float]]
"""How much of the command's effect has been seen from outside since."""


async def destroy_groups(made: Bench) -> Effect:
    """XGROUP DESTROY on every stream; seen by whoever makes them again."""
    effect = await counted(made, "groups_recreated_total")
    for stream in await keys_of(made.redis, PREFIX, "stream:"):
        await made.redis.xgroup_destroy(stream, "workers")
    return effect


async def flush_scripts(made: Bench) -> Effect:
    """SCRIPT FLUSH; seen by scripts that are there again."""

    async def cached_scripts() -> float:
        return float((await made.redis.info("memory"))["number_of_cached_scripts"])

    assert await cached_scripts() > 0
    await made.redis.script_flush()
    return cached_scripts


async def kill_clients(made: Bench) -> Effect:
    """CLIENT KILL of every connection but ours; seen by partitions that were rebuilt."""
    effect = await counted(made, "takeovers_total")
    killed = await made.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # type: ignore[no-untyped-call]
    assert killed >= len(made.running), "void: each service has one at least"
    return effect


async def counted(made: Bench, name: str) -> Effect:
    """How much more of it the workers tell from now on."""

    async def told() -> float:
        return sum([await worker.metric(name) for worker in made.workers.values()])

    before = await told()

    async def since() -> float:
        return await told() - before

    return since


@pytest.mark.parametrize("harm", [destroy_groups, flush_scripts, kill_clients])
async def test_nothing_is_lost_to_a_command(
    private_redis: PrivateRedis,
    tmp_path: Path,
    chance: random.Random,
    harm: Callable[[Bench], Awaitable[Effect]],
) -> None:
    """Under load, three times: alive at once, and every check of the ledger holds."""
    async with bench(private_redis, tmp_path, chance) as made:
        made.writers.start()
        for number in range(3):
            await some_in_hand(made, made.chance.choice(sorted(made.workers)))
            disturbance = made.ledger.disturb(harm.__name__, settle_s=made.lease_s)
            effect = await harm(made)
            took_s = await answered_in(made, f"after-{number}")
            made.ledger.over(disturbance)
            say(f"{harm.__name__}: alive after {took_s:.2f} s")
            await eventually(effect, "void: an effect of the command")
        await assert_ledger(made)


async def test_flushall_loses_what_was_there_and_is_told(
    own_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """What came before may be gone, and every service says so; what comes after is all handled."""
    async with loaded(own_redis.url, prefix, tmp_path, chance) as made:
        made.ledger.sends_again = lambda: False  # nobody knows the ids from before any more
        workers = [await made.consumer(), await made.consumer()]
        sending = begin_sending(made)
        await some_at_work(made, chance)
        for worker in workers:
            worker.pause()
        await made.send(UNREAD)
        flushed_ms = await flush_all(made.redis)
        for worker in workers:
            worker.resume()
        took_s = await alive_again(made, "after")
        say(f"FLUSHALL: alive after {took_s:.2f} s")
        await sending
        before, after = split(made.ledger, flushed_ms)
        await eventually(lambda: handles(made.ledger) >= ids(after), "all that came after", 60.0)
        await drained(made)
        before, after = split(made.ledger, flushed_ms)
        assert not after.problems(made.rules)
        mixed = [c for c in made.ledger.calls if set(c.members) & ids(before) & ids(after)]
        assert not mixed
        lost = ids(before) - handles(made.ledger)
        say(f"FLUSHALL: {len(lost)} of {len(ids(before))} lost")
        unread = {raw.message_id for who in UNREAD for raw in made.ledger.accepted[who]}
        assert len(unread) == len(UNREAD)
        assert not unread & handles(made.ledger), "void: not all that nobody had read is gone"
        for service in (made.ingest, *workers):
            assert await service.metric("data_lost_total") == 1
            assert "data.lost" in events(service)
        meta: Any = await made.redis.hgetall(f"{prefix}:meta")
        assert meta[b"partitions"] == b"8"


async def test_other_data_in_the_place_of_ours_end_the_services(
    own_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """With other partitions nobody would look where the others put messages: exit 2, and why."""
    async with loaded(own_redis.url, prefix, tmp_path, chance) as made:
        worker = await made.consumer()
        pipe = made.redis.pipeline(transaction=True)
        pipe.flushall()
        pipe.hset(f"{prefix}:meta", mapping={"partitions": 4, "layout": 1})
        await pipe.execute()
        for service in (worker, made.ingest):
            assert await service.ended() == 2
            assert "INTURN_PARTITIONS is 8, but the data" in service.log.read_text()


async def test_connections_beyond_maxclients_are_refused_and_tried_again(
    own_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """Who is connected goes on, whoever is not says why and waits, and all is well afterwards."""
    # a command that is slow on a starved machine costs no connection
    async with loaded(own_redis.url, prefix, tmp_path, chance, lease_ms=6000) as made:
        workers = [await made.consumer(), await made.consumer()]
        sending = begin_sending(made)
        await some_at_work(made, chance)
        clients = (await made.redis.info("clients"))["connected_clients"]
        await made.redis.config_set("maxclients", clients)
        joining = asyncio.create_task(made.consumer(), name="joining")
        await alive_again(made, "while-full")
        assert not joining.done()
        assert [await w.metric("takeovers_total", reason="disconnected") for w in workers] == [0, 0]
        # ingest's own connections are lost, and there is no room for new ones
        gone = await clients_named(made.redis, "inturn-append", "inturn-status")
        await made.redis.config_set("maxclients", clients - len(gone))
        for client in gone:
            await made.redis.client_kill_filter(_id=client)
        await is_unready(made, "MAXCLIENTS")
        assert (await made.redis.info("stats"))["rejected_connections"] > 0
        await made.redis.config_set("maxclients", 1000)
        took_s = await alive_again(made, "room-again")
        say(f"maxclients: alive after {took_s:.2f} s")
        await joining
        await settled(made, sending)


async def flush_all(redis: Redis) -> int:
    """FLUSHALL; in which ms of Redis's clock."""
    pipe = redis.pipeline(transaction=True)
    pipe.flushall()
    pipe.time()
    _, (seconds, us) = await pipe.execute()
    return int(seconds) * 1000 + int(us) // 1000


def split(ledger: Ledger, at_ms: int) -> tuple[Ledger, Ledger]:
    """What was accepted before that ms, and after it; users with a message in it are in neither."""
    before, after = Ledger(), Ledger()
    for who, entries in ledger.accepted.items():
        if any(raw.ms == at_ms for raw in entries):
            continue
        before.accepted[who] = [raw for raw in entries if raw.ms < at_ms]
        after.accepted[who] = [raw for raw in entries if raw.ms > at_ms]
    for half in (before, after):
        half.calls = [call for call in ledger.calls if set(call.members) & ids(half)]
    return before, after


def ids(ledger: Ledger) -> set[str]:
    """The message ids that were accepted."""
    return {raw.message_id for entries in ledger.accepted.values() for raw in entries}


def handles(ledger: Ledger) -> set[str]:
    """The message ids that some call held."""
    return {member for call in ledger.calls for member in call.members}


def events(service: ServiceProcess) -> list[str]:
    """The names of the lines that a service logged at error."""
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line[:1] == "{"]
    return [line["event"] for line in lines if line.get("level") == "error"]


async def clients_named(redis: Redis, *names: str) -> list[str]:
    """The ids of the connections that bear one of these names."""
    clients: Any = await redis.client_list()
    return [client["id"] for client in clients if client["name"] in names]
