"""
What a message costs by step: microseconds of Python, and of Redis inside our scripts.

    python -m bench.cost [--messages 20000] [--rounds 2]

The services are the real ones, and a step costs what their counters grew by while it ran: windows
that stay open leave a worker with reading alone; a handler that is held until every window has
started (a user has only one) parts starting from finishing; what a run with replies costs beyond
one without is sending. What a run costs beyond it whose handler is an HTTP endpoint is the call,
which is in no sum; once that endpoint answers at once, and once not before it has all windows. The
least of each one's rounds counts: others on the machine only add.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.counting import add_counting
from bench.drain import (
    WINDOW,
    Stored,
    settle,
    store_once,
    stored_messages,
    whole_users,
    windows_consumer,
)
from bench.floor import add_floor
from bench.load import Webhooks, choose_client
from bench.payloads import INSTANCES_SETTING
from bench.report import Report, Void, run_bench
from bench.servers import HOST, Process, cpu_s, ingest, peak_bytes, redis_server
from bench.store import Store
from ingest.append import RedisAppender
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import Message
from shared.settings import Settings
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer, free_port
from tests.support.waiting import eventually

LIMIT_S = 60.0
SETTLE_S = 0.2
"""What a step leaves behind, an answer to read, is done by then."""

CONNECTIONS = 64
HANDLERS = "python:bench.processes.handlers:"

APPEND, READ, START, FINISH, SEND = "append", "read", "start", "finish", "send"
WEBHOOK = "webhook before append"
CALL = "handler's call over HTTP"
HELD = "handler's call over HTTP, all at once"


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of a message, or seconds of all so far."""

    python: float
    redis: float

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.python - other.python, self.redis - other.redis)

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.python + other.python, self.redis + other.redis)

    def of_each(self, count: int) -> Cost:
        """Seconds of all, as microseconds of one."""
        return Cost(self.python / count * 1e6, self.redis / count * 1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One that has settled, on a Redis of its own."""

    process: Process
    store: Store
    stored: Stored

    def used(self) -> Cost:
        """Seconds so far."""
        return Cost(cpu_s(self.process.pid), self.store.script_us() / 1e6)

    def has_read_all(self) -> bool:
        """Whether every message is in a window."""
        return self.store.pending(self.store.streams()) == len(self.stored.accepted)

    def has_started_all(self) -> bool:
        """Whether every window has begun."""
        return self.store.started() == self.windows

    def has_finished_all(self) -> bool:
        """Whether nothing is left, and nothing is to be sent."""
        return self.store.backlog(self.store.streams()) == 0 == self.store.unsent()

    @property
    def windows(self) -> int:
        """How many its messages make."""
        return len(self.stored.accepted) // WINDOW

    async def use_until(self, done: Callable[[], bool], *, release: bool = False) -> Cost:
        """What it uses from now, when it may read or its handlers are released, until then."""
        before = self.used()
        if release:
            os.kill(self.process.pid, signal.SIGUSR1)
        else:
            self.store.show_unread()
        await eventually(done, f"a worker that {done.__name__}", LIMIT_S)
        await asyncio.sleep(SETTLE_S)
        return self.used() - before

    def check(self) -> None:
        """
        Raises:
            Void: it has not finished everything exactly once.
        """
        cut = int(self.process.scrape().total("windows_closed_total"))
        self.store.check_finished(self.stored.accepted, cut=cut)


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """Every step of every round; then the least of each."""
    count = whole_users(arguments.messages)
    report.note(f"{count:,} messages in windows of {WINDOW}; one reply to each window")
    rounds: list[dict[str, Cost]] = []
    with tempfile.TemporaryDirectory() as folder:
        stored = await store_once(
            stored_messages(count, 1, per_user=WINDOW), Path(folder, "stored")
        )
        for number in range(arguments.rounds):
            costs = await _measure_ingest(list(stored_messages(count, 1, per_user=WINDOW)))
            costs |= await _measure_worker(stored)
            rounds.append(costs)
            report.say(f"round {number + 1}")
        held, grown = await _measure_calls(stored, all_at_once=True)
    least = {
        step: Cost(min(c[step].python for c in rounds), min(c[step].redis for c in rounds))
        for step in rounds[0]
    }
    silent, call = least[READ] + least[START] + least[FINISH], least.pop(CALL)
    _add_rows(report, least)
    report.add(f"{CALL}, Python", call.python, "us/message")
    each = (held.of_each(count) - silent).python
    report.add(f"{HELD}, Python", each, "us/message")
    report.add(f"{HELD}, memory", grown / (count // WINDOW) / 1000, "kB/window")
    report.note(f"all at once: {count // WINDOW:,} calls of one worker")
    add_counting(report)
    await add_floor(report)


def _add_rows(report: Report, costs: Mapping[str, Cost]) -> None:
    figures = {
        f"{step}, {where}": value
        for step, cost in costs.items()
        for where, value in (("Python", cost.python), ("Redis", cost.redis))
        if (step, where) != (WEBHOOK, "Redis")
    }
    for name, value in figures.items():
        report.add(name, value, "us/message")
    for where in ("Python", "Redis"):
        own = {name: value for name, value in figures.items() if name.endswith(where)}
        report.add(f"all, {where}", sum(own.values()), "us/message")
        largest = max(own, key=own.__getitem__)
        share = own[largest] / sum(own.values())
        report.note(f"largest of {where}: {largest.partition(',')[0]}, {share:.0%}")


async def _measure_ingest(messages: list[Message]) -> dict[str, Cost]:
    """Webhooks through ingest, and the same number of appends without it."""
    with redis_server() as redis:
        alone = await _append_all(redis, messages)
    with redis_server() as redis, ingest(redis, INSTANCES=INSTANCES_SETTING) as process:
        process.wait_ready()
        store = Store(redis.url)
        before = Cost(cpu_s(process.pid), store.script_us() / 1e6)
        _, client = choose_client()
        sent = await client(process.port, Webhooks(), CONNECTIONS, 2)
        await asyncio.sleep(SETTLE_S)
        after = Cost(cpu_s(process.pid), store.script_us() / 1e6)
        if sent.refused or store.backlog(store.streams()) < sent.answered:
            raise Void("not every webhook was stored")
    whole = (after - before).of_each(sent.answered)
    return {WEBHOOK: Cost(whole.python - alone, 0.0), APPEND: Cost(alone, whole.redis)}


async def _append_all(redis: RedisServer, messages: list[Message]) -> float:
    """One by one from as many tasks as requests run at once; microseconds of Python each."""
    store = Store(redis.url)
    dedupe_ms: int = Settings.model_fields["dedupe_ms"].default
    async with running_pipe(redis.url) as pipe:
        appender = RedisAppender(pipe, store.keys, dedupe_ms, IngestMetrics(InstanceLabels(1)))
        rest = iter(messages)

        async def keep_appending() -> None:
            for message in rest:
                await appender.append([message])

        began_s = time.process_time()
        await asyncio.gather(*(keep_appending() for _ in range(CONNECTIONS)))
        used_s = time.process_time() - began_s
    if store.backlog(store.streams()) != len(messages):
        raise Void("not every append is stored")
    return used_s / len(messages) * 1e6


async def _measure_worker(stored: Stored) -> dict[str, Cost]:
    count = len(stored.accepted)
    async with _worker(stored, MAX_MESSAGES="1000") as worker:
        read = await worker.use_until(worker.has_read_all)
    at_once = str(count // WINDOW)
    async with _worker(stored, HANDLER=f"{HANDLERS}held", HANDLER_CONCURRENCY=at_once) as worker:
        started = await worker.use_until(worker.has_started_all)
        finished = await worker.use_until(worker.has_finished_all, release=True)
        worker.check()
    silent = started + finished
    called, _ = await _measure_calls(stored, all_at_once=False)
    steps = {
        READ: read,
        START: started - read,
        FINISH: finished,
        SEND: await _measure_replies(stored) - silent,
        CALL: called - silent,
    }
    return {step: cost.of_each(count) for step, cost in steps.items()}


async def _measure_replies(stored: Stored) -> Cost:
    port = free_port()
    with Process("bench.processes.provider", (str(port),), port=port) as provider:
        provider.wait_ready()
        reached = {"provider": "evolution", "base_url": f"http://{HOST}:{port}", "token": "-"}
        instances = json.dumps({"instance-0": reached})
        async with _worker(stored, HANDLER=f"{HANDLERS}reply", INSTANCES=instances) as worker:
            used = await worker.use_until(worker.has_finished_all)
            worker.check()
            replies = worker.process.scrape().total("replies_sent_total")
            if replies != worker.windows:
                raise Void(f"{replies:g} replies to {worker.windows} windows were sent")
    return used


async def _measure_calls(stored: Stored, *, all_at_once: bool) -> tuple[Cost, int]:
    """And the most bytes that the worker grew by."""
    port, windows = free_port(), str(len(stored.accepted) // WINDOW)
    path, settings = "answer", {}
    if all_at_once:
        path, settings = f"gather/{windows}", {"HANDLER_CONCURRENCY": windows}
    with Process("bench.processes.provider", (str(port),), port=port) as endpoint:
        endpoint.wait_ready()
        async with _worker(stored, HANDLER=f"http://{HOST}:{port}/{path}", **settings) as worker:
            before = peak_bytes(worker.process.pid)
            used = await worker.use_until(worker.has_finished_all)
            worker.check()
            if again := worker.process.scrape().total("attempts_postponed_total"):
                raise Void(f"{again:g} calls failed")
            grown = peak_bytes(worker.process.pid) - before
    return used, grown


@asynccontextmanager
async def _worker(stored: Stored, **settings: str) -> AsyncIterator[Worker]:
    with stored.server() as redis, windows_consumer(redis, **settings) as process:
        store = Store(redis.url)
        await settle([process], store)
        yield Worker(process=process, store=store, stored=stored)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.cost", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    run_bench("cost", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
