"""
Ten thousand instances that write, beside a hundred thousand that do not, on one worker and on four.

    python -m bench.crowd [--active 10000] [--idle 100000] [--rate 2000] [--seconds 15]

Messages come at a steady rate, each from another user, round all active instances: every window
closes by time. Both ends of a lateness are Redis's times: when the window was due, and when its
start script ran. Then one worker is killed that had read ten messages of each instance of a single
partition, and another one takes that over: ten thousand streams, a hundred thousand messages.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.drain import PER_USER, settle, stored_messages, windows_consumer
from bench.fair import send
from bench.figures import percentile
from bench.payloads import message_maker, with_ids
from bench.report import Reach, Report, Void, run_bench
from bench.servers import Process, anonymous_bytes, consumer, cpu_s, redis_server
from bench.store import JOURNAL_MS, Store, append_all
from shared.keys import Keys
from shared.model import Message
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

MAX_WAIT_MS = 2000
"""A quarter of the default, so that a short run holds many windows; lateness does not know it."""

WORKERS = (1, 4)
TAKEOVER_GOAL_S = 2.0
MB = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one number of workers and idle instances gave."""

    late_ms: Sequence[float]
    messages: int
    workers_bytes: int
    workers_s: float
    redis_s: float
    calls: int


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """Without idle instances, with them, and with more workers; then the takeover."""
    active, idle, rate = arguments.active, arguments.idle, arguments.rate
    report.note(f"{active:,} instances write, {rate:,} messages/s for {arguments.seconds:g} s")
    report.note("sender, workers and Redis share the CPUs; commands are the sender's, too")
    before: Run | None = None
    for workers, others in ((1, 0), *((workers, idle) for workers in WORKERS)):
        name = f"{workers} worker{'s' if workers > 1 else ''}, {others:,} idle"
        try:
            run = await _measure_load(arguments, workers=workers, idle=others)
        except Void as error:
            report.leave_out(name, error)
            continue
        report.say(f"{name}: p99 {percentile(run.late_ms, 0.99):.0f} ms")
        _add_rows(report, name, run, before if workers == 1 else None)
        before = before or run
    seconds = await measure_takeover(active)
    reach = Reach(limit=TAKEOVER_GOAL_S)
    name = f"takeover of {active:,} streams, {PER_USER * active:,} messages"
    report.add(name, seconds, "s", reach=reach)


def _add_rows(report: Report, name: str, run: Run, before: Run | None) -> None:
    each = run.messages
    report.add(f"{name}: lateness p50", percentile(run.late_ms, 0.5), "ms")
    report.add(f"{name}: lateness p99", percentile(run.late_ms, 0.99), "ms")
    report.add(f"{name}: CPU of workers", run.workers_s / each * 1e6, "us/message")
    report.add(f"{name}: CPU of Redis", run.redis_s / each * 1e6, "us/message")
    report.add(f"{name}: memory of workers", run.workers_bytes / MB, "MB")
    calls = run.calls / each
    report.add(f"{name}: commands of Redis", calls, "/message")
    if before is not None:
        more = calls / (before.calls / before.messages)
        report.add(
            f"{name}: commands, of those without idle ones", more, "x", reach=Reach(limit=1.1)
        )


async def _measure_load(arguments: argparse.Namespace, *, workers: int, idle: int) -> Run:
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis, ExitStack() as stack:
        store = Store(redis.url)
        store.add_idle_instances(idle)
        files = [Path(folder, str(number)) for number in range(workers)]
        started = [stack.enter_context(_recording(redis, file)) for file in files]
        await settle(started, store)
        before = _used(started, redis, store)
        sent = await send(store, _messages(arguments))
        count = len(sent.others) + len(sent.flood)
        await eventually(lambda: _finished(started) == count, "the end of all windows", 60)
        after = _used(started, redis, store)
        await store.wait_finished()
        held = sum(anonymous_bytes(worker.pid) for worker in started)
        cut = sum(int(worker.scrape().total("windows_closed_total")) for worker in started)
        for worker in started:
            worker.stop()
        store.check_finished([*sent.others, *sent.flood], cut=cut)
        late_ms = [1000 * float(line) for file in files for line in file.read_text().split()]
    workers_s, redis_s, calls = (b - a for a, b in zip(before, after, strict=True))
    return Run(
        late_ms=late_ms,
        messages=count,
        workers_bytes=held,
        workers_s=workers_s,
        redis_s=redis_s,
        calls=round(calls),
    )


def _finished(workers: Sequence[Process]) -> float:
    return sum(worker.scrape().total("messages_finished_total") for worker in workers)


def _used(workers: Sequence[Process], redis: RedisServer, store: Store) -> tuple[float, ...]:
    """CPU of workers and of Redis, and commands, so far."""
    return sum(cpu_s(worker.pid) for worker in workers), cpu_s(redis.pid), store.calls_count()


def _recording(redis: RedisServer, late: Path) -> Process:
    return consumer(
        redis,
        module="bench.processes.recording_consumer",
        arguments=(str(late),),
        HANDLER="python:bench.processes.handlers:silence",
        MAX_WAIT_MS=str(MAX_WAIT_MS),
        RETENTION_MS=str(JOURNAL_MS),
    )


def _messages(arguments: argparse.Namespace) -> list[tuple[float, Message]]:
    pattern, rate = message_maker(), arguments.rate
    return [
        (number / rate, with_ids(pattern, f"instance-{number % arguments.active}", number, number))
        for number in range(round(rate * arguments.seconds))
    ]


async def measure_takeover(streams: int) -> float:
    """
    Seconds until a worker has taken over the only partition from one that was killed.

    Raises:
        Void: the other one had not read everything.
    """
    with redis_server() as redis:
        store = Store(redis.url)
        store.keys = Keys(store.keys.prefix, 1)
        await append_all(store, stored_messages(PER_USER * streams, streams))
        settings = {"PARTITIONS": "1", "LEASE_MS": "2000", "MAX_MESSAGES": "1000"}
        with windows_consumer(redis, **settings) as worker:
            worker.wait_ready()
            await eventually(lambda: _opened(worker) == streams, "open windows", 60)
        if store.pending(store.streams()) != PER_USER * streams:
            raise Void("not all was read before the takeover")
        with windows_consumer(redis, **settings) as heir:
            heir.wait_ready()
            await eventually(lambda: _taken_over(heir), "a takeover", 60)
            await eventually(lambda: _opened(heir) == streams, "all windows in its memory", 60)
            return heir.scrape().total("takeover_seconds_sum")


def _opened(worker: Process) -> float:
    return worker.scrape().total("open_windows")


def _taken_over(worker: Process) -> bool:
    return worker.scrape().total("takeover_seconds_count") == 1


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.crowd", description=__doc__)
    parser.add_argument("--active", type=int, default=10_000)
    parser.add_argument("--idle", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=15)
    arguments = parser.parse_args()
    run_bench("crowd", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
