"""
How long a person waits for a number, while 500 of them ask for one every second.

    python -m bench.tickets [--rate 500] [--seconds 10]

Requests leave at their time whatever the answers, and each is timed from when it was due, so that
a server that falls behind is seen. Every user is new, and after every fiftieth the next number is
called. Client, ingest and Redis share the CPUs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.figures import percentile
from bench.load import OK, Connection, with_connections
from bench.report import Reach, Report, Void, run_bench
from bench.servers import cpu_s, ingest, redis_server
from bench.store import Store

CLINIC = "bench"
ENTER, DONE = "/api/v1/queue/enter", "/api/v1/queue/done"
CONNECTIONS = 32
CALL_EVERY = 50
WARM_UP_S = 1.0
LATE_S = 0.005
"""The median request may leave so late before the rate was not what it is called."""

REACH_MS = 10.0


@dataclass(slots=True)
class Seen:
    """What the clients saw: numbers, times in ms from when each was due, how late each left."""

    numbers: list[int] = field(default_factory=list)
    enter_ms: list[float] = field(default_factory=list)
    done_ms: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """One ingest process and its Redis, after a second to warm up."""
    report.note(f"{arguments.rate} enter/s and {arguments.rate // CALL_EVERY} done/s, evenly")
    report.note("each is timed from when it was due; client, ingest and Redis share the CPUs")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        process = stack.enter_context(ingest(redis)).wait_ready()
        warm = await send(process.port, arguments.rate, WARM_UP_S, first=0)
        idle_s = cpu_s(process.pid), cpu_s(redis.pid)
        first = len(warm.numbers)
        seen = await send(process.port, arguments.rate, arguments.seconds, first=first)
        used_s = cpu_s(process.pid) - idle_s[0], cpu_s(redis.pid) - idle_s[1]
        check(warm, seen, Store(redis.url))
    reach = Reach(limit=REACH_MS)
    report.add("enter, p50", percentile(seen.enter_ms, 0.5), "ms")
    report.add("enter, p99", percentile(seen.enter_ms, 0.99), "ms", reach=reach)
    report.add("enter, slowest", max(seen.enter_ms), "ms")
    report.add("done, p99", percentile(seen.done_ms, 0.99), "ms")
    report.add("requests left late, p50", percentile(seen.late_s, 0.5) * 1000, "ms")
    for name, seconds in zip(("ingest", "Redis"), used_s, strict=True):
        report.add(f"CPU of {name}", seconds / len(seen.numbers) * 1e6, "us/enter")


async def send(port: int, per_s: int, seconds: float, *, first: int) -> Seen:
    """So many new users a second, evenly; a busy server makes them late, never fewer."""
    seen, numbers = Seen(), iter(range(round(per_s * seconds)))
    began_s = time.perf_counter()

    async def keep_sending(connection: Connection) -> None:
        for number in numbers:
            due_s = began_s + number / per_s
            if (pause_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(pause_s)
            seen.late_s.append(time.perf_counter() - due_s)
            told = await post(connection, ENTER, user=f"user {first + number}")
            seen.enter_ms.append((time.perf_counter() - due_s) * 1000)
            seen.numbers.append(json.loads(told)["number"])
            if number % CALL_EVERY == 0:
                sent_s = time.perf_counter()
                await post(connection, DONE)
                seen.done_ms.append((time.perf_counter() - sent_s) * 1000)

    await with_connections(port, CONNECTIONS, keep_sending)
    return seen


async def post(connection: Connection, path: str, **body: str) -> bytes:
    """
    The answer's body.

    Raises:
        Void: it was refused.
    """
    status, told = await connection.post(json.dumps({"clinic": CLINIC, **body}).encode(), path)
    if status != OK:
        raise Void(f"{path} was answered {status}: {told.decode()}")
    return told


def check(warm: Seen, seen: Seen, store: Store) -> None:
    """
    Every number was given, and each once; and requests left at their time.

    Raises:
        Void: it is not so.
    """
    numbers = sorted(warm.numbers + seen.numbers)
    if numbers != list(range(1, len(numbers) + 1)):
        raise Void("the numbers have gaps, or came twice")
    kept = int(store.call("HLEN", f"inturn:{{clinic:{CLINIC}}}:tickets"))
    if kept != len(numbers):
        raise Void(f"{len(numbers)} numbers were given, {kept} are kept")
    if (late_s := percentile(seen.late_s, 0.5)) > LATE_S:
        raise Void(f"requests left {late_s * 1000:.1f} ms late in the median")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.tickets", description=__doc__)
    parser.add_argument("--rate", type=int, default=500, help="users a second")
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    run_bench("tickets", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
