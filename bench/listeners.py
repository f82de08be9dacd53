"""
How soon a thousand listeners of a queue hear of a change, and what it costs.

    python -m bench.listeners [--listeners 1000] [--changes 200] [--rate 10]

Each change is timed from when its request leaves to when its event has come to each listener.
Clients, ingest and Redis share the CPUs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import cast

from bench.figures import percentile
from bench.load import OK, Connection
from bench.report import Reach, Report, Void, run_bench
from bench.servers import HOST, cpu_s, ingest, redis_server
from bench.store import Store

CLINIC = "bench"
ENTER, STREAM = "/api/v1/queue/enter", f"/api/v1/events/stream?clinic={CLINIC}"
REQUEST = f"GET {STREAM} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
CONNECTED, UPDATE = b"event: CONNECTED\n", b"event: QUEUE_UPDATE\n"
AT_ONCE = 100
LIMIT_S = 30.0
REACH_MS = 200.0


@dataclass(slots=True)
class Crowd:
    """What all listeners together have heard; ``came_s``: when each event came, in any order."""

    listeners: int
    connected: int = 0
    came_s: list[float] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, connected: int, heard: int) -> None:
        """
        Raises:
            Void: not in time.
        """
        try:
            async with asyncio.timeout(LIMIT_S):
                while self.connected < connected or len(self.came_s) < heard:
                    self.wake.clear()
                    await self.wake.wait()
        except TimeoutError:
            raise Void(f"{self.connected} connected, {len(self.came_s)} events came") from None


class Listener(asyncio.Protocol):
    """Counts events by their first lines: a thousand share one process with the clock."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        cast(asyncio.WriteTransport, transport).write(REQUEST)

    def data_received(self, data: bytes) -> None:
        """A frame comes in one piece: it is far smaller than what a socket takes."""
        now_s = time.perf_counter()
        self._crowd.connected += data.count(CONNECTED)
        self._crowd.came_s.extend([now_s] * data.count(UPDATE))
        self._crowd.wake.set()


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """One ingest process and its Redis."""
    listeners, changes = arguments.listeners, arguments.changes
    report.note(f"{listeners} listeners, {changes} changes, {arguments.rate} a second")
    report.note("from a request's departure to each listener; all share the CPUs")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        process = stack.enter_context(ingest(redis)).wait_ready()
        crowd, store = Crowd(listeners), Store(redis.url)
        began_s = time.perf_counter()
        await connect(crowd, process.port)
        connect_s = time.perf_counter() - began_s
        await change(crowd, process.port, 10, arguments.rate)
        before = reads(store), cpu_s(process.pid)
        took_ms = await change(crowd, process.port, changes, arguments.rate)
        cost = reads(store) - before[0], cpu_s(process.pid) - before[1]
    report.add("pushed, p50", percentile(took_ms, 0.5), "ms")
    report.add("pushed, p99", percentile(took_ms, 0.99), "ms")
    report.add("pushed, slowest", max(took_ms), "ms", reach=Reach(limit=REACH_MS))
    report.add("reads from Redis", cost[0] / changes, "/change", reach=Reach(limit=1.2))
    report.add("CPU of ingest", cost[1] / changes / listeners * 1e6, "us/listener and change")
    report.add("all connected in", connect_s, "s")


async def connect(crowd: Crowd, port: int) -> None:
    """All of them, not all at once."""
    loop = asyncio.get_running_loop()
    for begun in range(0, crowd.listeners, AT_ONCE):
        count = min(AT_ONCE, crowd.listeners - begun)
        for _ in range(count):
            await loop.create_connection(lambda: Listener(crowd), HOST, port)
        await crowd.until(begun + count, 0)


async def change(crowd: Crowd, port: int, count: int, per_s: int) -> list[float]:
    """So many changes; the time in ms from each to each listener."""
    connection = await Connection.open(port)
    took_ms: list[float] = []
    began_s = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, began_s + number / per_s - time.perf_counter()))
        crowd.came_s.clear()
        sent_s = time.perf_counter()
        user = f"user {sent_s}"
        status, told = await connection.post(
            json.dumps({"clinic": CLINIC, "user": user}).encode(), ENTER
        )
        if status != OK:
            raise Void(f"a change was answered {status}: {told.decode()}")
        await crowd.until(crowd.listeners, crowd.listeners)
        took_ms += [(came_s - sent_s) * 1000 for came_s in crowd.came_s]
    connection.close()
    return took_ms


def reads(store: Store) -> int:
    """How often streams were read."""
    stats = store.call("INFO", "commandstats").get("cmdstat_xrange", {"calls": 0})
    return int(stats["calls"])


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.listeners", description=__doc__)
    parser.add_argument("--listeners", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--rate", type=int, default=10, help="changes a second")
    arguments = parser.parse_args()
    run_bench("listeners", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
