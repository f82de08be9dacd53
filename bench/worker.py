"""
How many stored messages one worker takes through windows, beside a loop that only reads and acks.

    python -m bench.worker [--messages 100000] [--instances 1,100]

Users wrote ten messages each, which makes two windows of five; the handler is a Python function
that does nothing. Timed from the worker's joining until the last window is finished.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from itertools import islice

from bench.payloads import message_maker, with_ids
from bench.report import Reach, Report, Row, Void, run_bench
from bench.servers import Process, consumer, cpu_s, redis_server
from bench.store import AT_ONCE, JOURNAL_MS, Store, append_all
from shared.keys import GROUP
from shared.model import Message
from shared.wire import encode_message
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

PER_USER = 10
WINDOW = 5
SEED = 20_260_101

MAX_WAIT_MS = 600_000
"""Longer than storing takes: every window closes with its fifth message, none by time."""

LOOPS = {
    "plain": "redis-py loop, XREADGROUP 500 + XACK",
    "decoding": "the same loop, with JSON and XDEL",
}
STREAM = "messages"


def stored_messages(count: int, instances: int) -> Iterator[Message]:
    """
    ``PER_USER`` messages of each user, in a shuffled order that is the same in every run.

    A user writes to one instance; users are spread evenly over the instances.
    """
    pattern = message_maker()
    users = [number % (count // PER_USER) for number in range(count)]
    random.Random(SEED).shuffle(users)
    for number, user in enumerate(users):
        yield with_ids(pattern, f"instance-{user % instances}", user, number)


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """The loop first, then the worker for each number of instances."""
    count = arguments.messages - arguments.messages % PER_USER
    report.note(f"{count:,} messages of {count // PER_USER:,} users; worker and Redis share CPUs")
    report.note("the loops cut no windows and call no handler; the plain one decodes nothing")
    loop = _measure_loop(report, count, "plain")
    _measure_loop(report, count, "decoding")
    for instances in arguments.instances:
        await _measure_worker(report, count, instances, loop)


def _measure_loop(report: Report, count: int, kind: str) -> Row:
    with redis_server() as redis:
        store = Store(redis.url)
        store.call("XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM")
        _add_plainly(store, count)
        report.say(f"stored {count:,} messages for the {kind} loop")
        arguments = (redis.url, STREAM, GROUP.decode(), kind)
        with Process("bench.processes.read_loop", arguments) as process:
            process.wait_end()
            entries, seconds = process.log().split()
        if int(entries) != count or store.pending([STREAM]):
            raise Void(f"the {kind} loop read {entries} of {count} messages")
    return report.add(LOOPS[kind], count / float(seconds), "messages/s")


def _add_plainly(store: Store, count: int) -> None:
    messages = stored_messages(count, 1)
    while chunk := list(islice(messages, AT_ONCE)):
        store.call_many([("XADD", STREAM, "*", "m", encode_message(m)) for m in chunk])


async def _measure_worker(report: Report, count: int, instances: int, loop: Row) -> None:
    with redis_server() as redis:
        store = Store(redis.url)
        accepted = await append_all(store, stored_messages(count, instances))
        report.say(f"stored {count:,} messages of {instances} instances")
        worker = consumer(
            redis,
            HANDLER="python:bench.processes.handlers:silence",
            MAX_WAIT_MS=str(MAX_WAIT_MS),
            MAX_MESSAGES=str(WINDOW),
            RETENTION_MS=str(JOURNAL_MS),
        )
        with worker:
            await eventually(store.worker_count, "a worker that has joined")
            began_ms, before_s = store.now_ms(), _used_s(worker, redis)
            await store.wait_finished()
            used_s = [
                now - before for now, before in zip(_used_s(worker, redis), before_s, strict=True)
            ]
            cut = int(worker.scrape().total("windows_closed_total"))
            worker.stop()
        journal = store.check_finished(accepted, cut=cut)
    took_s = (journal.last_ms - began_ms) / 1000
    name = f"worker, {instances} instance{'s' if instances > 1 else ''}"
    reach = Reach(limit=0.25, at_least=True, of_ratio=True)
    report.add(name, count / took_s, "messages/s", against=loop, reach=reach)
    report.add(f"{name}, members of a window", count / journal.windows, "messages")
    for what, seconds in zip(("worker", "Redis"), used_s, strict=True):
        report.add(f"{name}, CPU of {what}", seconds / count * 1e6, "us/message")


def _used_s(worker: Process, redis: RedisServer) -> tuple[float, float]:
    return cpu_s(worker.pid), cpu_s(redis.pid)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.worker", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument(
        "--instances", type=lambda text: [int(part) for part in text.split(",")], default=[1, 100]
    )
    arguments = parser.parse_args()
    run_bench("worker", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
