"""
A backlog far larger than a worker's memory is drained, and nobody else waits for it.

The limit is on data (``RLIMIT_DATA``: heap and private mappings, what grows with messages); the
address space would count libraries and stacks that are never touched. The peak in RAM is checked,
too.
"""

from __future__ import annotations

import asyncio
import base64
import random
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from tests.support.backlog import CALLS_FILE, Noted, Waiting, peak_bytes, read_calls, write_backlog
from tests.support.fault_bench import say
from tests.support.redis_server import RedisServer
from tests.support.service_process import ServiceProcess

LIMIT_BYTES = 500 * 1000 * 1000
MESSAGES = 1_000_000
HOUR_MS = 3_600_000
LARGE = 3000
LARGE_BYTES = 250 * 1024

ON_TIME_MS = 3000
"""A deadline: a turn that reads a flood takes a tenth of a second."""

FLOOD, OTHER = "flood", "clinic"
BASE = "inturn:{0}"

Backlog = Callable[[int], Iterator[Waiting]]
"""Messages in order, up to about now in ms."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def calls_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the handler notes its calls."""
    monkeypatch.setenv(CALLS_FILE, str(tmp_path / "calls"))
    return tmp_path / "calls"


def an_hour(now_ms: int) -> Iterator[Waiting]:
    """A hundred users at a time, five messages each, within the hour before the last minute."""
    for number in range(MESSAGES):
        group, one = divmod(number, 500)
        at_ms = now_ms - HOUR_MS + number * (HOUR_MS - 60_000) // MESSAGES
        yield Waiting(at_ms, f"551199{group * 100 + one % 100:07d}")


def all_open_at_once(now_ms: int) -> Iterator[Waiting]:
    """All within seven seconds: every window is open until the last messages are read."""
    for number in range(MESSAGES):
        at_ms = now_ms - 60_000 + number * 7000 // MESSAGES
        yield Waiting(at_ms, f"551199{number * 7919 % (MESSAGES // 5):07d}")


def photographs(now_ms: int, chance: random.Random) -> Iterator[Waiting]:
    """Of 300 users, five of each in one window."""
    data = base64.b64encode(chance.randbytes(LARGE_BYTES * 3 // 4)).decode()
    for number in range(LARGE):
        yield Waiting(now_ms - 600_000 + number, f"551199{number % (LARGE // 5):07d}", data)


@asynccontextmanager
async def limited_worker(own_redis: RedisServer, folder: Path) -> AsyncIterator[ServiceProcess]:
    """A consumer that gets no more memory than the limit, from before it has joined."""
    settings = {
        "redis_url": own_redis.url,
        "partitions": 1,
        "handler": "python:tests.support.noting:note",
        "max_wait_ms": 8000,
        "log_level": "info",
    }
    worker = ServiceProcess("consumer", folder, settings)
    worker.spawn()
    resource.prlimit(worker.pid, resource.RLIMIT_DATA, (LIMIT_BYTES, LIMIT_BYTES))
    try:
        yield worker
    finally:
        worker.kill()


async def say_every_so_often(url: str, until: asyncio.Event) -> list[str]:
    """A message of a new user of the other instance twice a second; the entry ids."""
    ids: list[str] = []
    async with aiohttp.ClientSession() as session:
        while not until.is_set():
            body = {"instance": OTHER, "user": f"user-{len(ids)}", "text": "hello"}
            async with session.post(f"{url}/api/v1/messages", json=body) as answer:
                assert answer.status == 202
                ids += [kept["entry_id"] for kept in (await answer.json())["accepted"]]
            await asyncio.sleep(0.5)
    return ids


async def drained(redis: Redis, worker: ServiceProcess, instance: str, limit_s: float) -> None:
    """Wait until an instance's stream is empty, as long as the worker lives."""
    end_s = time.monotonic() + limit_s
    while left := await redis.xlen(f"{BASE}:stream:{instance}"):
        assert worker.is_running(), f"it ended: {worker.log.read_text()[-2000:]}"
        assert time.monotonic() < end_s, f"{left} messages are left"
        await asyncio.sleep(0.2)


def assert_each_once(calls: list[Noted], instance: str, count: int) -> None:
    """Every entry of an instance is in exactly one window, at its first attempt."""
    windows = [call for call in calls if call.instance == instance]
    entries = Counter(entry_id for call in windows for entry_id in call.entry_ids)
    assert (len(entries), entries.total()) == (count, count)
    assert {call.attempt for call in windows} == {1}
    assert len({call.window_id for call in windows}) == len(windows)


async def drain_under_limit(
    own_redis: RedisServer,
    folder: Path,
    calls_path: Path,
    waiting: Iterator[Waiting],
    limit_s: float,
) -> tuple[list[Noted], int]:
    """A backlog, a limited worker, and another instance that goes on writing meanwhile."""
    redis = Redis.from_url(own_redis.url, protocol=2)
    count = await write_backlog(redis, BASE, FLOOD, waiting)
    backlog_bytes = int((await redis.info("memory"))["used_memory"])
    over = asyncio.Event()
    settings = {"redis_url": own_redis.url, "partitions": 1, "backlog_limit": 2 * MESSAGES}
    async with (
        ServiceProcess("ingest", folder, settings) as ingest,
        limited_worker(own_redis, folder) as worker,
    ):
        began_s = time.monotonic()
        saying = asyncio.create_task(say_every_so_often(ingest.url, over))
        await drained(redis, worker, FLOOD, limit_s)
        took_s = time.monotonic() - began_s
        over.set()
        said = await saying
        await drained(redis, worker, OTHER, 20.0)
        peak = peak_bytes(worker.pid)
        calls = list(read_calls(calls_path))
    await redis.aclose()
    assert_each_once(calls, FLOOD, count)
    assert_each_once(calls, OTHER, len(said))
    late = max(call.late_ms for call in calls if call.instance == OTHER)
    say(
        f"{count} messages in {took_s:.1f} s, peak {peak / 1e6:.0f} MB,"
        f" Redis {backlog_bytes / 1e6:.0f} MB, {len(said)} others at most {late} ms late"
    )
    assert peak < LIMIT_BYTES
    assert late < ON_TIME_MS
    return calls, len(said)


@pytest.mark.parametrize("backlog", [an_hour, all_open_at_once])
async def test_a_million_messages_under_500_mb(
    own_redis: RedisServer, tmp_path: Path, calls_path: Path, backlog: Backlog
) -> None:
    """Drained, each in one window, while another instance of the partition is served on time."""
    now_ms = round(time.time() * 1000)
    await drain_under_limit(own_redis, tmp_path, calls_path, backlog(now_ms), limit_s=200.0)


async def test_large_entries_under_500_mb(
    own_redis: RedisServer, tmp_path: Path, calls_path: Path, chance: random.Random
) -> None:
    """Three quarters of a gigabyte of photographs pass through, each whole, in one window."""
    now_ms = round(time.time() * 1000)
    waiting = photographs(now_ms, chance)
    calls, _ = await drain_under_limit(own_redis, tmp_path, calls_path, waiting, limit_s=90.0)
    windows = [call for call in calls if call.instance == FLOOD]
    assert {len(call.entry_ids) for call in windows} == {5}
    assert {call.size for call in windows} == {5 * LARGE_BYTES}
