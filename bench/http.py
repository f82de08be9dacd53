"""
Windows answered by an HTTP endpoint at a steady rate, for five minutes: memory, and who waits.

    python -m bench.http [--per-s 200] [--seconds 300]

Every window is two webhooks of a user who never wrote before, which is what a leak would keep the
most of. The endpoint answers in 10 ms, but for one user, whom it keeps waiting for 30 s at a time.
A reply is timed from when its window was due until it is at the provider. Memory is what belongs
to no file; each end is the median of ten seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import median, percentile
from bench.load import OK, Connection, Paced, Webhooks, send_at_rate
from bench.payloads import INSTANCE, SECRET, user_digits
from bench.processes.endpoint import SLOW_S
from bench.report import Reach, Report, Void, run_bench
from bench.servers import HOST, Process, anonymous_bytes, consumer, cpu_s, ingest, redis_server
from bench.store import Store
from tests.support.redis_server import RedisServer, free_port
from tests.support.waiting import eventually

MAX_WAIT_MS = 1000
MEMBERS = 2
SLOW_USER = 9_999_999
NEXT_S = SLOW_S + 1
"""The slow one writes again when the last answer is there."""

FROM_S = 60.0
"""Memory is compared from then on: pools and tables have their size."""

SPAN_S = 10.0
MB = 1_000_000
REACH_MB = 5.0
REACH_MS = 250.0

GENERATOR_LATE_S = 0.1
"""The median send may be so late before the rate was not what it is called."""

Samples = list[tuple[float, dict[str, int]]]
"""When, in seconds from the begin, and each process's bytes."""


class Bursts(Webhooks):
    """Each user writes ``MEMBERS`` messages, and never again."""

    def user(self, number: int) -> int:
        """Who wrote message ``number``."""
        return number // MEMBERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What came of it. ``late_ms``: of each reply to others than the slow one."""

    late_ms: Sequence[float]
    slow: int
    samples: Samples
    cpu_s: dict[str, float]


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """One run; its figures."""
    per_s, seconds = arguments.per_s, arguments.seconds
    report.note(f"{seconds:g} s; MAX_WAIT_MS {MAX_WAIT_MS}, a new user for every window")
    report.note("sender, endpoint, ingest, worker and Redis share the CPUs")
    run = await _measure(report, per_s, seconds)
    windows = len(run.late_ms)
    report.add("windows answered", windows / seconds, "windows/s")
    report.add("answers that took 30 s", run.slow, "answers")
    report.add("due to provider, others, p50", median(run.late_ms), "ms")
    p99, reach = percentile(run.late_ms, 0.99), Reach(limit=REACH_MS)
    report.add("due to provider, others, p99", p99, "ms", reach=reach)
    for what in ("worker", "ingest"):
        begin, end = (_at(run.samples, what, at_s) for at_s in (FROM_S, seconds))
        report.add(f"memory of {what}, after {FROM_S:g} s", begin / MB, "MB")
        grown = (end - begin) / MB
        name = f"memory of {what}, growth until {seconds:g} s"
        report.add(name, grown, "MB", reach=Reach(limit=REACH_MB))
    for what, used_s in run.cpu_s.items():
        report.add(f"CPU of {what}", used_s / windows * 1e6, "us/window")


async def _measure(report: Report, per_s: int, seconds: float) -> Run:
    port, webhooks, samples = free_port(), Bursts(), Samples()
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis:
        arrived, store = Path(folder, "arrived"), Store(redis.url)
        arguments = (str(port), user_digits(SLOW_USER), str(arrived))
        with (
            Process("bench.processes.endpoint", arguments, port=port) as endpoint,
            _worker(redis, port) as worker,
            ingest(redis, INSTANCES=_instances(port)) as edge,
        ):
            for process in (endpoint, worker, edge):
                process.wait_ready()
            await eventually(lambda: _owns_all(worker, store), "a worker that owns all partitions")
            pids = {"worker": worker.pid, "ingest": edge.pid}
            before = {what: cpu_s(pid) for what, pid in pids.items()}
            sampling = asyncio.create_task(_sample(report, pids, samples))
            writing = asyncio.create_task(_write_slowly(edge.port, webhooks, seconds))
            sent = await send_at_rate(
                edge.port, webhooks, per_s=per_s * MEMBERS, seconds=seconds, bulk=1
            )
            sampling.cancel()
            used = {what: cpu_s(pid) - before[what] for what, pid in pids.items()}
            written = await writing
            await eventually(lambda: _is_done(store), "a reply to each window", SLOW_S + 30)
            cut = int(worker.scrape().total("windows_closed_total"))
            endpoint.stop()
        late_ms = _read(arrived)
    slow = late_ms.pop(user_digits(SLOW_USER), [])
    late = [ms for of_user in late_ms.values() for ms in of_user]
    _check(sent, users=len(late_ms), missing=cut - len(late) - len(slow), slow=written - len(slow))
    return Run(late_ms=late, slow=len(slow), samples=samples, cpu_s=used)


def _worker(redis: RedisServer, port: int) -> Process:
    return consumer(
        redis,
        HANDLER=f"http://{HOST}:{port}/answer",
        INSTANCES=_instances(port),
        MAX_WAIT_MS=str(MAX_WAIT_MS),
    )


def _instances(port: int) -> str:
    reached = {"base_url": f"http://{HOST}:{port}", "token": "-"}
    return json.dumps({INSTANCE: {"provider": "evolution", "secret": [SECRET], **reached}})


async def _write_slowly(port: int, webhooks: Webhooks, seconds: float) -> int:
    """The slow user writes as soon as its last answer is there; how often it did."""
    connection, end_s, count = await Connection.open(port), time.monotonic() + seconds, 0
    try:
        while time.monotonic() < end_s:
            body = webhooks.template.body(SLOW_USER, SLOW_USER + count)
            status, _ = await connection.post(body)
            if status != OK:
                raise Void(f"a webhook of the slow user was answered {status}")
            count += 1
            await asyncio.sleep(NEXT_S)
    finally:
        connection.close()
    return count


async def _sample(report: Report, pids: dict[str, int], samples: Samples) -> None:
    """Look once a second, until cancelled."""
    began_s = time.monotonic()
    while True:
        at_s = time.monotonic() - began_s
        samples.append((at_s, {what: anonymous_bytes(pid) for what, pid in pids.items()}))
        if len(samples) % round(FROM_S) == 1:
            texts = (f"{what} {size / MB:.1f} MB" for what, size in samples[-1][1].items())
            report.say(", ".join(texts))
        await asyncio.sleep(1.0)


def _at(samples: Samples, what: str, until_s: float) -> float:
    """
    A process's bytes in the ``SPAN_S`` before a time.

    Raises:
        Void: nobody looked.
    """
    found = [sizes[what] for at_s, sizes in samples if until_s - SPAN_S <= at_s <= until_s]
    if not found:
        raise Void(f"there is no figure of the memory after {until_s:g} s")
    return median(found)


def _owns_all(worker: Process, store: Store) -> bool:
    return worker.scrape().total("owned_partitions") == store.keys.partitions


def _is_done(store: Store) -> bool:
    return not (store.backlog(store.streams()) or store.unsent())


def _read(arrived: Path) -> dict[str, list[float]]:
    """How late each user's replies were, in ms."""
    late_ms: dict[str, list[float]] = defaultdict(list)
    for line in arrived.read_text(encoding="ascii").splitlines():
        user, ms = line.split()
        late_ms[user].append(float(ms))
    return late_ms


def _check(sent: Paced, *, users: int, missing: int, slow: int) -> None:
    """
    Did the messages come at the rate, and did every window get its reply, once?

    Raises:
        Void: with everything that does not add up.
    """
    late_s = percentile(sent.late_s, 0.5)
    problems = {
        "webhooks refused": sent.refused,
        "seconds that the sender was late": late_s if late_s > GENERATOR_LATE_S else 0,
        "users without a reply": len(sent.answers) // MEMBERS - users,
        "replies too few": missing,
        "slow replies too few": slow,
    }
    found = [f"{what}: {count:g}" for what, count in problems.items() if count]
    if found:
        raise Void("; ".join(found))


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.http", description=__doc__)
    parser.add_argument("--per-s", type=int, default=200, help="windows in a second")
    parser.add_argument("--seconds", type=float, default=300)
    arguments = parser.parse_args()
    run_bench("http", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
