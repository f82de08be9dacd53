"""
What messages cost in memory: in Redis while they are unfinished and after, and in the worker.

    python -m bench.memory [--messages 50000]

Users write ten messages each; a row of its own is about those who write one. A message's body is
the value of its stream entry; what is more than that is counted. Pending: stored, and read by a
worker whose windows are still open. Finished: what dedupe keeps for a day or two; the journal, kept
``RETENTION_MS``, is a row of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from bench.drain import PER_USER, stored_messages, whole_users, windows_consumer
from bench.payloads import INSTANCE, message_maker, with_ids
from bench.report import Reach, Report, Row, run_bench
from bench.servers import Process, anonymous_bytes, redis_server
from bench.store import AT_ONCE, Place, Store, append_all
from shared.model import Message
from shared.wire import encode_message
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

READ_LIMIT_S = 120.0

MIB = 1024 * 1024

SINGLE_MESSAGES = 10_000
HOUR_MESSAGES = 6000
HOUR_USERS = 600


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """Strings first, then the same messages in streams, then the hour."""
    count = whole_users(arguments.messages)
    strings = _measure_strings(report, count)
    await _measure_messages(report, count, strings)
    await _measure_single_messages(report, strings)
    await _measure_hour(report)


def _measure_strings(report: Report, count: int) -> Row:
    """A STRING per message id, as home-made dedupe keeps it."""
    with redis_server() as redis:
        store = Store(redis.url)
        before = store.used_bytes()
        names = [f"seen:{m.instance}:{m.message_id}" for m in stored_messages(count, 1)]
        for at in range(0, count, AT_ONCE):
            store.call_many([("SET", name, 1, "EX", 86_400) for name in names[at : at + AT_ONCE]])
        each = (store.used_bytes() - before) / count
    return report.add("STRING per id, with a TTL", each, "bytes/message")


async def _measure_messages(report: Report, count: int, strings: Row) -> None:
    messages = list(stored_messages(count, 1))
    body = sum(len(encode_message(message)) for message in messages) / count
    report.note(f"{count:,} messages of {count // PER_USER:,} users, bodies of {body:.0f} bytes")
    with redis_server() as redis:
        store = Store(redis.url)
        held = await _hold_open(redis, store, messages)
        report.say("read, windows open")
        cut = await _finish_all(redis, store)
        store.check_finished(held.accepted, cut=cut)
        with_journal = store.used_bytes()
        store.delete_journals()
        finished = store.used_bytes()
    pending = (held.pending_bytes - held.empty_bytes) / count - body
    reach = Reach(limit=200)
    report.add("pending, beyond the body", pending, "bytes/message", against=strings, reach=reach)
    seen = (finished - held.empty_bytes) / count
    reach = Reach(limit=100)
    report.add("finished, dedupe only", seen, "bytes/message", against=strings, reach=reach)
    each = (with_journal - finished) / count
    report.add("journal, within RETENTION_MS", each, "bytes/message")
    each = held.worker_bytes / count
    report.add("worker, window open", each, "bytes/message", reach=Reach(limit=1500))


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Messages in open windows: Redis's memory before and after, and what the worker grew by."""

    accepted: list[Place]
    empty_bytes: int
    pending_bytes: int
    worker_bytes: int


async def _hold_open(redis: RedisServer, store: Store, messages: list[Message]) -> Held:
    """Store while a worker reads and keeps every window open; then end the worker."""
    with windows_consumer(redis, MAX_MESSAGES="1000") as worker:
        worker.wait_ready()
        await eventually(
            lambda: _owned(worker) == store.keys.partitions, "a worker that owns all partitions"
        )
        empty, worker_before = store.used_bytes(), anonymous_bytes(worker.pid)
        accepted = await append_all(store, messages)
        streams = store.streams()
        await eventually(
            lambda: store.pending(streams) == len(messages), "everything to be read", READ_LIMIT_S
        )
        pending, worker_after = store.used_bytes(), anonymous_bytes(worker.pid)
        worker.stop()
    return Held(
        accepted=accepted,
        empty_bytes=empty,
        pending_bytes=pending,
        worker_bytes=worker_after - worker_before,
    )


async def _finish_all(redis: RedisServer, store: Store) -> int:
    """A second worker closes windows at their fifth message and finishes all; how many."""
    with windows_consumer(redis) as worker:
        worker.wait_ready()
        await store.wait_finished()
        cut = int(worker.scrape().total("windows_closed_total"))
        worker.stop()
    return cut


async def _measure_single_messages(report: Report, strings: Row) -> None:
    """What dedupe keeps of users who write once: each has a hash of one field, the dearest case."""
    with redis_server() as redis:
        store = Store(redis.url)
        with windows_consumer(redis, MAX_WAIT_MS="100") as worker:
            worker.wait_ready()
            await eventually(
                lambda: _owned(worker) == store.keys.partitions, "a worker that owns all partitions"
            )
            empty = store.used_bytes()
            accepted = await append_all(store, stored_messages(SINGLE_MESSAGES, 1, per_user=1))
            await store.wait_finished()
            cut = int(worker.scrape().total("windows_closed_total"))
            worker.stop()
        store.check_finished(accepted, cut=cut)
        store.delete_journals()
        each = (store.used_bytes() - empty) / SINGLE_MESSAGES
    name = "finished, dedupe only, of users with a single message"
    report.add(name, each, "bytes/message", against=strings)


async def _measure_hour(report: Report) -> None:
    """
    An hour of one instance's messages, at once instead of within an hour.

    Nothing expires meanwhile, neither journal nor dedupe, so Redis holds at least as much as it
    would at any moment of the real hour.
    """
    with redis_server() as redis:
        store = Store(redis.url)
        with windows_consumer(redis) as worker:
            worker.wait_ready()
            accepted = await append_all(store, _hour_messages())
            await store.wait_finished()
            cut = int(worker.scrape().total("windows_closed_total"))
            worker.stop()
        store.check_finished(accepted, cut=cut)
        peak = store.peak_bytes()
    report.note("the hour's messages were sent within seconds and nothing expired: an upper bound")
    name = "one instance's 100 messages a minute for an hour, peak of Redis"
    report.add(name, peak / MIB, "MiB", reach=Reach(limit=50))


def _hour_messages() -> Iterator[Message]:
    pattern = message_maker()
    for number in range(HOUR_MESSAGES):
        yield with_ids(pattern, INSTANCE, number % HOUR_USERS, number)


def _owned(worker: Process) -> float:
    return worker.scrape().total("owned_partitions")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.memory", description=__doc__)
    parser.add_argument("--messages", type=int, default=50_000)
    arguments = parser.parse_args()
    run_bench("memory", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
