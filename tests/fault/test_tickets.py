"""Numbers under faults: none is given twice, none is left out, nobody is skipped."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from shared.redis_binary import ServerBinary
from tests.support.fault_bench import say
from tests.support.machine import watched_machine
from tests.support.redis_server import RedisServer
from tests.support.sentinel import SentinelDeployment
from tests.support.service_process import ServiceProcess
from tests.support.tcp_proxy import TcpProxy, runs
from tests.support.waiting import eventually

CLINIC, PREFIX = "north-wing", "faulty"
USERS = 500
AT_ONCE = 50
ANSWER_TURNS = 4
"""The client's to ask and to hear, the process's to read, and to give Redis up and answer."""
KILLS_AT = (40, 120, 200, 280, 360, 440)
"""So many have their number when a process is killed; the others' requests are on their way."""

pytestmark = pytest.mark.timeout(180)


@dataclass
class Door:
    """Ingest processes, and people who try one after the other until they have a number."""

    processes: list[ServiceProcess]
    session: aiohttp.ClientSession
    chance: random.Random
    numbers: dict[str, int] = field(default_factory=dict)
    failed: int = 0

    async def ask(self, verb: str, body: dict[str, str], key: str | None) -> tuple[int, Any]:
        """Once, at any process: the status, and what it says."""
        headers = {} if key is None else {"Idempotency-Key": key}
        url = f"{self.chance.choice(self.processes).url}/api/v1/queue/{verb}"
        async with self.session.post(url, json=body, headers=headers) as answer:
            return answer.status, json.loads(await answer.text())

    async def post(self, verb: str, body: dict[str, str], key: str | None = None) -> Any:
        """Again and again, at any process, until one answers 200."""
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                status, told = await self.ask(verb, body, key)
                if status == 200:
                    return told
                assert status == 503, told
            self.failed += 1
            await asyncio.sleep(0.02)

    def has_given(self, count: int) -> bool:
        """Whether so many have their number."""
        return len(self.numbers) >= count

    async def enter(self, user: str, key: str | None) -> None:
        """Until they have a number."""
        told = await self.post("enter", {"clinic": CLINIC, "user": user}, key)
        self.numbers[user] = told["number"]


@asynccontextmanager
async def door(
    redis_url: str, folder: Path, chance: random.Random, count: int = 3, durability: str = "memory"
) -> AsyncIterator[Door]:
    """So many ingest processes."""
    settings = {"redis_url": redis_url, "prefix": PREFIX, "durability": durability}
    async with AsyncExitStack() as stack:
        processes = [
            ServiceProcess("ingest", folder, settings, name=f"i{number}") for number in range(count)
        ]
        for process in processes:
            await stack.enter_async_context(process)
        connector = aiohttp.TCPConnector(limit=0)
        session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10), connector=connector)
        await stack.enter_async_context(session)
        yield Door(processes, session, chance)


async def events_in(client: Any) -> dict[bytes, dict[bytes, bytes]]:
    """What each event of the clinic says, by its id: no other server gives the same."""
    return dict(await client.xrange(f"{PREFIX}:{{clinic:{CLINIC}}}:events"))


async def tickets_in(client: Any) -> dict[int, str]:
    """Number and user of each ticket, as it stands in Redis."""
    rows = await client.hgetall(f"{PREFIX}:{{clinic:{CLINIC}}}:tickets")
    return {int(number): row.decode().split(" ", 3)[3] for number, row in rows.items()}


async def test_five_hundred_come_at_once(
    own_redis: RedisServer, tmp_path: Path, chance: random.Random
) -> None:
    """To three processes: 500 numbers, each once, 1 to 500, and each is its user's in Redis."""
    async with door(own_redis.url, tmp_path, chance) as made:
        async with asyncio.TaskGroup() as group:
            for number in range(USERS):
                group.create_task(made.enter(f"user {number}", None))
        async with Redis.from_url(own_redis.url, protocol=2) as client:
            kept = await tickets_in(client)
        served = [await process.metric("tickets_entered_total") for process in made.processes]
    assert sorted(made.numbers.values()) == list(range(1, USERS + 1))
    assert kept == {number: user for user, number in made.numbers.items()}
    # who tried again after a lost answer had the number by then, and nobody has counted it
    assert USERS - made.failed <= sum(served) <= USERS
    assert all(served), "void: one of the processes gave no number"


async def kill_often(made: Door, chance: random.Random) -> None:
    """A process each time that so many more have their number; each is started again at once."""
    for count in KILLS_AT:
        await eventually(partial(made.has_given, count), f"{count} numbers", 60)
        process = chance.choice([one for one in made.processes if one.is_running()])
        process.kill()
        process.spawn()


async def serve(made: Door) -> int:
    """Call one after the other, each call with a key of its own, until cancelled."""
    calls = 0
    while len(made.numbers) < USERS:
        await made.post("done", {"clinic": CLINIC}, f"call {calls}")
        calls += 1
    return calls


@pytest.mark.short_fault
@pytest.mark.parametrize("with_keys", [False, True], ids=["without keys", "with keys"])
async def test_processes_are_killed_while_numbers_are_given(
    own_redis: RedisServer, tmp_path: Path, chance: random.Random, with_keys: bool
) -> None:
    """
    No number twice, none skipped, one for each user, whatever died with a request in hand.

    With keys people are called meanwhile, so that some are served before they hear of their number.
    """
    places = asyncio.Semaphore(AT_ONCE)
    async with door(own_redis.url, tmp_path, chance) as made:

        async def come(user: str) -> None:
            async with places:
                await made.enter(user, f"key of {user}" if with_keys else None)

        async with asyncio.TaskGroup() as group:
            group.create_task(kill_often(made, chance))
            staff = group.create_task(serve(made)) if with_keys else None
            for number in range(USERS):
                group.create_task(come(f"user {number}"))
        async with Redis.from_url(own_redis.url, protocol=2) as client:
            kept = await tickets_in(client)
            queue = await client.hgetall(f"{PREFIX}:{{clinic:{CLINIC}}}:queue")
            events = list((await events_in(client)).values())
    say(f"{made.failed} requests failed, {len(KILLS_AT)} kills")
    assert made.failed > 0, "void: no kill was felt"
    assert sorted(made.numbers.values()) == list(range(1, USERS + 1))
    assert kept == {number: user for user, number in made.numbers.items()}
    assert queue[b"last"] == b"500"
    given = [int(row[b"number"]) for row in events if row[b"type"] == b"entered"]
    assert given == list(range(1, USERS + 1))
    if staff is not None:
        called = [int(row[b"serving"]) for row in events if row[b"type"] == b"done"]
        assert [number for number in called if number] == list(range(1, int(queue[b"called"]) + 1))
        assert len(called) <= staff.result()


async def test_a_lost_answer_acts_once(
    own_redis: RedisServer, tmp_path: Path, chance: random.Random
) -> None:
    """Redis ran it and nobody was told: nothing repeats a call, and keys make a repetition safe."""
    async with (
        TcpProxy(own_redis.url) as proxy,
        door(proxy.url, tmp_path, chance, count=1) as made,
    ):
        for user in ("ann", "bob", "cid"):  # each script's first run is by its text
            await made.enter(user, None)
        await made.post("done", {"clinic": CLINIC}, "first")
        await made.post("reset", {"clinic": CLINIC}, "second")
        for verb, key in (("enter", None), ("done", None), ("done", "k"), ("reset", "k")):
            body = {"user": "ann"} if verb == "enter" else {}
            dropped = proxy.drop_reply(runs(f"ticket_{verb}"))
            status, told = await made.ask(verb, {"clinic": CLINIC, **body}, key)
            assert dropped.is_set(), "void: no reply was dropped"
            assert status == 503
            code = "unavailable" if verb == "enter" else "outcome_unknown"
            assert told["error"]["code"] == code
            if verb == "enter":
                again = await made.post(verb, {"clinic": CLINIC, "user": "ann"})
                assert (again["number"], again["already"]) == (1, True)
                for user in ("bob", "cid"):
                    await made.enter(user, None)
            elif key is not None:
                await made.post(verb, {"clinic": CLINIC}, key)
        async with Redis.from_url(own_redis.url, protocol=2) as client:
            events = list((await events_in(client)).values())
            days = await client.llen(f"{PREFIX}:{{clinic:{CLINIC}}}:days")
    changes = Counter(row[b"type"] for row in events[5:])
    assert changes == {b"entered": 3, b"done": 2, b"reset": 1}
    assert days == 2


async def test_without_redis_there_is_no_number_and_an_answer_in_time(
    durable_redis: RedisServer, tmp_path: Path, chance: random.Random
) -> None:
    """Stopped, or killed: 503 within 3 s for every verb; numbers go on where they were."""
    async with door(durable_redis.url, tmp_path, chance, count=1) as made:
        process = made.processes[0]
        await made.enter("ann", None)
        url = f"{process.url}/api/v1/queue"
        body = {"clinic": CLINIC, "user": "bob"}

        async def all_are_refused() -> None:
            with watched_machine() as machine:
                began_s = time.monotonic()
                await each_is_refused()
                took_s = time.monotonic() - began_s
            assert took_s < machine.allows_s(4 * 3.0, 4 * ANSWER_TURNS)

        async def each_is_refused() -> None:
            for verb in ("enter", "done", "reset"):
                sent = body if verb == "enter" else {"clinic": CLINIC}
                async with made.session.post(f"{url}/{verb}", json=sent) as answer:
                    assert answer.status == 503
                    assert int(answer.headers["Retry-After"]) > 0
            async with made.session.get(f"{url}/status?clinic={CLINIC}") as answer:
                assert answer.status == 503

        durable_redis.kill()
        await all_are_refused()
        durable_redis.start()
        await made.enter("bob", None)
        durable_redis.pause()
        try:
            async with made.session.post(f"{url}/enter", json={**body, "user": "cid"}) as answer:
                assert answer.status == 503
        finally:
            durable_redis.resume()
        await made.enter("cid", None)
        spooled = await process.metric("spool_messages")
    assert made.numbers == {"ann": 1, "bob": 2, "cid": 3}
    assert spooled == 0


async def test_a_failover_gives_no_number_twice(
    redis_binary: ServerBinary, tmp_path: Path, chance: random.Random
) -> None:
    """At ``replicas:1``: those that the old primary alone had given were told to nobody."""
    places = asyncio.Semaphore(AT_ONCE)
    given_there: set[bytes] = set()
    with SentinelDeployment(redis_binary) as redis:
        old = redis.primary
        watch: Any = Redis.from_url(old.url, protocol=2, single_connection_client=True)
        async with watch, door(redis.url, tmp_path, chance, durability="replicas:1") as made:

            async def come(user: str) -> None:
                async with places:
                    await made.enter(user, None)

            async def lose_the_primary() -> None:
                """With numbers that no replica has: one that connects anew may not follow it."""
                await eventually(partial(made.has_given, 100), "100 numbers", 60)
                await watch.execute_command("ACL", "SETUSER", "default", "-psync", "-sync")
                await watch.client_kill_filter(_type="replica")

                async def has_lone_numbers() -> bool:
                    return len(await events_in(watch)) >= len(made.numbers) + AT_ONCE

                await eventually(has_lone_numbers, "numbers of the old primary alone", 30)
                given_there.update(await events_in(watch))
                old.kill()

            async with asyncio.TaskGroup() as group:
                group.create_task(lose_the_primary())
                for number in range(USERS):
                    group.create_task(come(f"user {number}"))
            async with Redis.from_url(redis.primary.url, protocol=2) as client:
                kept = await tickets_in(client)
                lost = given_there - (await events_in(client)).keys()
    assert lost, "void: a replica had all that the old primary gave"
    assert sorted(made.numbers.values()) == list(range(1, USERS + 1))
    assert kept == {number: user for user, number in made.numbers.items()}
