"""F14: a handler that takes its process along, blocks, hangs, raises or chokes on its window."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from ops.chaos.contents import keys_of
from ops.chaos.processes import ROOT, environment
from shared.service import WATCHDOG_EXIT_CODE
from tests.support import poison
from tests.support.fault_bench import say
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.ledger import Who
from tests.support.redis_server import RedisServer
from tests.support.service_process import ServiceProcess
from tests.support.system import System, system
from tests.support.waiting import eventually
from tests.support.witness import Witness, witness

LEASE_MS = 1500
MAX_ATTEMPTS = 3
MAX_WAIT_MS = 400
LARGE = "x" * 1_000_000
NAMES = tuple(handler.__name__ for handler in poison.HANDLERS)
MAX_MESSAGES = 5
PARTITIONS = 8
PER_KIND = 5
P99_LIMIT_S = 0.75
"""The goal is 250 ms beyond the window."""

SETTINGS: dict[str, Any] = {
    "max_wait_ms": MAX_WAIT_MS,
    "max_attempts": MAX_ATTEMPTS,
    "retry_base_ms": 50,
    "lease_ms": LEASE_MS,
    "partitions": PARTITIONS,
}

pytestmark = pytest.mark.timeout(240)


class Supervisor:
    """Starts a worker again whenever it has ended, as systemd or Kubernetes does."""

    def __init__(self, workers: list[ServiceProcess]) -> None:
        self.workers = workers
        self.deaths: Counter[int] = Counter()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            for worker in self.workers:
                if not worker.is_running():
                    self.deaths[await worker.ended()] += 1
                    worker.spawn()
            await asyncio.sleep(0.05)


@asynccontextmanager
async def supervised(workers: list[ServiceProcess]) -> AsyncIterator[Supervisor]:
    """Inside, these workers are started again."""
    supervisor = Supervisor(workers)
    task = asyncio.create_task(supervisor.run())
    try:
        yield supervisor
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def say_to(made: System, instance: str, user: str, text: str) -> None:
    """One message that the ledger does not know."""
    body = {"instance": instance, "user": user, "text": text}
    async with made.session.post(f"{made.ingest.url}/api/v1/messages", json=body) as answer:
        assert answer.status == 202, await answer.text()


async def letters(redis: Redis, prefix: str) -> list[dict[str, Any]]:
    """Every dead letter."""
    found: list[dict[str, Any]] = []
    for key in await keys_of(redis, prefix, "dead"):
        rows: Any = await redis.xrange(key)
        found += [json.loads(fields[b"m"]) for _, fields in rows]
    return found


async def journal(redis: Redis, prefix: str) -> Counter[tuple[str, str]]:
    """What became of windows: how often each (window, outcome) was noted."""
    found: Counter[tuple[str, str]] = Counter()
    for key in await keys_of(redis, prefix, "journal"):
        rows: Any = await redis.xrange(key)
        for _, fields in rows:
            found[fields[b"window"].decode(), fields[b"what"].decode()] += 1
    return found


def inturn(*arguments: str, **settings: Any) -> str:
    """The command line; what it printed."""
    env = environment(**settings) | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ops.cli", *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def own_handlers() -> dict[str, Any]:
    """Each kind of poison is an instance with a handler of its own."""
    return {
        name: {"handler": f"python:tests.support.poison:{name}", "handler_timeout_ms": 1000}
        for name in NAMES
    }


async def test_poison_in_the_worker_s_own_process(
    own_redis: RedisServer,
    prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chance: random.Random,
) -> None:
    """Each becomes a dead letter after its last attempt, crashes counted; a replay works once."""
    cured = tmp_path / "cured"
    monkeypatch.setenv(poison.CURED_FILE, str(cured))
    settings = {**SETTINGS, "instances": json.dumps(own_handlers())}
    users: list[Who] = [(f"shop-{number % 4}", f"user-{number}") for number in range(60)]
    async with system(own_redis.url, prefix, tmp_path, **settings) as made:
        workers = [await made.consumer() for _ in range(3)]
        async with supervised(workers) as supervisor:
            sending = asyncio.create_task(made.send_rounds(users, 40, pause_s=0.4))
            for name in chance.sample(NAMES, len(NAMES)):
                await asyncio.sleep(chance.uniform(0.0, 0.5))
                await say_to(made, name, f"{name}-user", LARGE if name == "choke" else "hello")
            dead = await dead_letters(made, len(NAMES))
            await sending
            await made.all_handled(60.0, may_outlive=True)
            assert_dead_as_told(dead, supervisor.deaths)
            cured.touch()
            command = {"redis_url": own_redis.url, "prefix": prefix, "partitions": PARTITIONS}
            say(inturn("dead", "replay", "--all", **command))
            await made.all_handled(30.0, may_outlive=True)
        assert not await letters(made.redis, prefix)
        noted = await journal(made.redis, prefix)
        ids = {letter["window"]["window_id"] for letter in dead.values()}
        assert {noted[window_id, "answered"] for window_id in ids} == {1}


async def dead_letters(made: System, count: int) -> dict[str, Any]:
    """Wait until there are so many; by instance."""

    async def are_there() -> bool:
        return len(await letters(made.redis, made.prefix)) >= count

    await eventually(are_there, f"{count} dead letters", 90.0)
    return {letter["instance"]: letter for letter in await letters(made.redis, made.prefix)}


def assert_dead_as_told(dead: dict[str, Any], deaths: Counter[int]) -> None:
    """One of each kind, whole, after its last attempt; each crash was one process."""
    say(f"deaths by exit code: {dict(deaths)}")
    assert set(dead) == set(NAMES)
    assert {letter["attempts"] for letter in dead.values()} == {MAX_ATTEMPTS}
    assert dead["choke"]["window"]["entries"][0]["text"] == LARGE
    for code in (poison.LEFT, -signal.SIGKILL, WATCHDOG_EXIT_CODE):
        assert 1 <= deaths[code] <= MAX_ATTEMPTS, deaths
    assert len(deaths) == 3


async def test_poison_behind_an_endpoint(
    own_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """It hangs, drops, fails or answers without end: others wait for nothing but a free slot."""
    faults = {"hang": None, "drop": Answer(drops=True), "fail": Answer(status=500)}
    answers = {**faults, "large": Answer.json({"reply": LARGE * 2})}

    async def script(call: HandlerCall) -> Answer:
        answer = answers[call.json["instance"]]
        if answer is None:
            await asyncio.sleep(30.0)
        return answer or Answer(status=204)

    async with HandlerServer(script) as endpoint:
        own = {"handler": endpoint.url, "handler_timeout_ms": 1000}
        settings = {
            **SETTINGS,
            "handler_concurrency": 64,
            "unavailable_ms": 1,
            "instances": json.dumps(dict.fromkeys(answers, own)),
        }
        async with (
            system(own_redis.url, prefix, tmp_path, **settings) as made,
            witness(made.redis) as seen,
        ):
            worker = await made.consumer()
            await worker.owns(PARTITIONS)
            are_dead = asyncio.Event()
            sending = asyncio.create_task(go_on_writing(made, are_dead))
            poisoned = [(name, f"{name}-{n}") for name in answers for n in range(PER_KIND)]
            for instance, user in chance.sample(poisoned, len(poisoned)):
                await say_to(made, instance, user, "hello")
            await dead_letters(made, len(poisoned))
            are_dead.set()
            await sending
            await made.all_handled(30.0)
            dead = await letters(made.redis, prefix)
            assert {letter["attempts"] for letter in dead} == {MAX_ATTEMPTS}
            assert_in_time(made, seen)


async def go_on_writing(made: System, are_dead: asyncio.Event) -> None:
    """Others write twelve rounds, and more while not all of the poison is dead."""
    users: list[Who] = [(f"shop-{number % 4}", f"user-{number}") for number in range(100)]
    await made.send_rounds(users, 12, pause_s=1.0)
    while not are_dead.is_set():
        await made.send_rounds(users, 1, pause_s=1.0)


def assert_in_time(made: System, seen: Witness) -> None:
    """The windows of others began when they were due."""
    late = sorted(lateness_s(made))
    p99 = late[len(late) * 99 // 100]
    say(f"{len(late)} windows of others: p50 {late[len(late) // 2]:.3f} s, p99 {p99:.3f} s")
    say(f"who waited longest for a PING did for {seen.worst_s:.3f} s")
    assert p99 < seen.allows_s(P99_LIMIT_S)


def lateness_s(made: System) -> list[float]:
    """Of each window that gathered for its time: how long after its due time it was called."""
    skew_s = time.time() - time.monotonic()
    sent_ms = {
        (who, raw.message_id): raw.ms for who, raws in made.ledger.accepted.items() for raw in raws
    }
    return [
        call.began_s + skew_s - (sent_ms[call.who, call.members[0]] + MAX_WAIT_MS) / 1000
        for call in made.ledger.calls
        if len(call.members) < MAX_MESSAGES
    ]
