"""
What an open page of the console costs ingest while 300 messages a second flow, and how soon it
shows a change.

    python -m bench.console [--rate 300] [--seconds 8] [--changes 20]

Users write three messages each, a worker echoes their windows. CPU is the scheduler's account of
ingest and of Redis; a page's is what they use more than without one. A change is timed from before
its request leaves to when a page was told of it: a pause on the first page, and a new window in the
list of windows. Clients, services and Redis share the CPUs.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from bench.figures import percentile
from bench.load import ACCEPTED, API_PATH, OK, Connection
from bench.report import Reach, Report, Void, run_bench
from bench.servers import HOST, Process, consumer, cpu_s, ingest, redis_server

STREAM = "/api/v1/console/stream"
INSTANCES = 8
BURST = 3
CONNECTIONS = 4
STEADY_S = 12.0
"""Windows take 8 s: after that as many are finished as begin."""

SETTLED_S = 2.0
"""The first look reads what has ended in the last half minute, once."""

LIMIT_S = 10.0
PART_OF_CORE = Reach(limit=3.0)
DELAY = Reach(limit=1000.0)
PAGES: Sequence[tuple[str, Sequence[str]]] = (
    ("1 page, now", ["view=now"]),
    ("5 pages, now", ["view=now"] * 5),
    ("1 page, windows", ["view=windows"]),
    ("1 page, instances", ["view=instances"]),
    (
        "5 pages, of all kinds",
        ["view=now", "view=partitions", "view=instances", "view=windows", "view=windows&users=1"],
    ),
)


@dataclass(slots=True)
class Page:
    """An open page: the last that it was told, and who waits for news."""

    told: dict[str, Any]
    news: asyncio.Condition

    async def until(self, is_so: Callable[[dict[str, Any]], bool]) -> float:
        """
        When it was told so.

        Raises:
            Void: not in time.
        """
        try:
            async with asyncio.timeout(LIMIT_S), self.news:
                await self.news.wait_for(lambda: bool(self.told) and is_so(self.told))
        except TimeoutError:
            raise Void(f"a page was not told in {LIMIT_S:g} s") from None
        return time.perf_counter()


@asynccontextmanager
async def opened(session: aiohttp.ClientSession, port: int, query: str) -> AsyncIterator[Page]:
    """A page that has been told something."""
    page = Page({}, asyncio.Condition())
    url = f"http://{HOST}:{port}{STREAM}?{query}"
    async with session.get(url, timeout=aiohttp.ClientTimeout(total=None)) as answer:
        if answer.status != OK:
            raise Void(f"{url} was answered {answer.status}")
        hearing = asyncio.create_task(_hear(answer, page))
        try:
            await page.until(lambda told: not told["stale"])
            yield page
        finally:
            hearing.cancel()


async def _hear(answer: aiohttp.ClientResponse, page: Page) -> None:
    while line := await answer.content.readuntil(b"\n"):
        if line.startswith(b"data: "):
            async with page.news:
                page.told = json.loads(line[6:])
                page.news.notify_all()


def messages() -> Iterator[bytes]:
    """Each user writes ``BURST`` messages, a few hundred ms apart, and comes back minutes later."""
    for number in itertools.count():
        user = number % 100 + 100 * (number // (100 * BURST))
        body = {"instance": f"shop-{user % INSTANCES}", "user": f"+55{user:09d}", "text": "hello"}
        yield json.dumps(body).encode()


async def keep_sending(port: int, per_s: int) -> None:
    """Evenly, until cancelled; a busy server makes them late, never fewer."""
    bodies, numbers = messages(), itertools.count()
    began_s = time.perf_counter()

    async def send() -> None:
        connection = await Connection.open(port)
        for number in numbers:
            pause_s = began_s + number / per_s - time.perf_counter()
            await asyncio.sleep(max(0.0, pause_s))
            status, told = await connection.post(next(bodies), API_PATH)
            if status != ACCEPTED:
                raise Void(f"a message was answered {status}: {told.decode()}")

    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(send())


@dataclass(frozen=True, slots=True)
class Used:
    """CPU in percent of a core."""

    ingest: float
    redis: float


async def use_of(ingest_pid: int, redis_pid: int, seconds: float) -> Used:
    """While nothing changes but what flows."""
    before, began_s = (cpu_s(ingest_pid), cpu_s(redis_pid)), time.perf_counter()
    await asyncio.sleep(seconds)
    took_s = time.perf_counter() - began_s
    ingest_s, redis_s = cpu_s(ingest_pid) - before[0], cpu_s(redis_pid) - before[1]
    return Used(ingest_s / took_s * 100, redis_s / took_s * 100)


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """One ingest process, one worker and their Redis."""
    report.note(f"{arguments.rate} messages a second, {BURST} of each user; echoed by one worker")
    report.note("CPU in percent of a core; clients, services and Redis share the CPUs")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        process = stack.enter_context(ingest(redis)).wait_ready()
        stack.enter_context(consumer(redis)).wait_ready()
        flow = asyncio.create_task(keep_sending(process.port, arguments.rate))
        try:
            await asyncio.sleep(STEADY_S)
            async with aiohttp.ClientSession() as session:
                await cost(report, process, redis.pid, session, arguments.seconds)
                await delays(report, process.port, session, arguments.changes)
            if flow.done():
                flow.result()
        finally:
            flow.cancel()


async def cost(
    report: Report,
    process: Process,
    redis_pid: int,
    session: aiohttp.ClientSession,
    seconds: float,
) -> None:
    """Without a page before and after, and with some: what each is more."""
    none = [await use_of(process.pid, redis_pid, seconds)]
    found: list[tuple[str, int, Used]] = []
    for name, queries in PAGES:
        async with AsyncExitStack() as stack:
            for query in queries:
                await stack.enter_async_context(opened(session, process.port, query))
            await asyncio.sleep(SETTLED_S)
            used = await use_of(process.pid, redis_pid, seconds)
        found.append((name, len(queries), used))
    none.append(await use_of(process.pid, redis_pid, seconds))
    idle = Used(sum(one.ingest for one in none) / 2, sum(one.redis for one in none) / 2)
    report.add("ingest without a page", idle.ingest, "%")
    report.add("Redis without a page", idle.redis, "%")
    for name, pages, used in found:
        more, more_redis = used.ingest - idle.ingest, used.redis - idle.redis
        report.add(f"ingest per page: {name}", more / pages, "%", reach=PART_OF_CORE)
        report.add(f"ingest and Redis per page: {name}", (more + more_redis) / pages, "%")


async def delays(report: Report, port: int, session: aiohttp.ClientSession, changes: int) -> None:
    """From before a change to when a page was told of it."""
    base = f"http://{HOST}:{port}/api/v1"
    paused_ms: list[float] = []
    opened_ms: list[float] = []
    async with (
        opened(session, port, "view=now") as now,
        opened(session, port, "view=windows&instance=probe") as windows,
    ):
        for number in range(changes):
            await asyncio.sleep(number * 0.037 % 0.5)  # at all times of a look's interval
            sent_s = time.perf_counter()
            value = {"paused": number % 2 == 0 or None}
            await _done(session.put(f"{base}/instances/other/settings", json=value), OK)
            wanted = ["other"] if value["paused"] else []
            told_s = await now.until(lambda told, w=wanted: told["paused"]["instances"] == w)  # type: ignore[misc]
            paused_ms.append((told_s - sent_s) * 1000)
            user, sent_s = f"user {number}", time.perf_counter()
            before = {one["window_id"] for one in windows.told["windows"]}
            message = {"instance": "probe", "user": user, "text": "hello"}
            await _done(session.post(f"{base}/messages", json=message), ACCEPTED)
            told_s = await windows.until(lambda told, b=before: _has_more(told, b))  # type: ignore[misc]
            opened_ms.append((told_s - sent_s) * 1000)
    for name, times in (
        ("a pause, on the first page", paused_ms),
        ("a window, in its list", opened_ms),
    ):
        report.add(f"shown: {name}, p50", percentile(times, 0.5), "ms")
        report.add(f"shown: {name}, slowest", max(times), "ms", reach=DELAY)


def _has_more(told: dict[str, Any], before: set[str]) -> bool:
    return any(one["window_id"] not in before for one in told["windows"])


async def _done(call: Any, wanted: int) -> None:
    async with call as answer:
        if answer.status != wanted:
            raise Void(f"a change was answered {answer.status}: {await answer.text()}")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.console", description=__doc__)
    parser.add_argument("--rate", type=int, default=300, help="messages a second")
    parser.add_argument("--seconds", type=float, default=8, help="of each figure of CPU")
    parser.add_argument("--changes", type=int, default=20, help="of each kind")
    arguments = parser.parse_args()
    run_bench("console", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
