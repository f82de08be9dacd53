"""
One worker takes stored messages through windows until all are finished, and is timed.

Users wrote ten messages each, which makes two windows of five. What Redis holds at the end says
whether the work was done: every entry in exactly one finished window, and nothing left over.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from bench.payloads import message_maker, with_ids
from bench.servers import Process, consumer, cpu_s, redis_server
from bench.store import JOURNAL_MS, Store, append_all
from shared.model import Message
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

PER_USER = 10
WINDOW = 5
SEED = 20_260_101

MAX_WAIT_MS = 600_000
"""Longer than storing takes: every window closes with its fifth message, none by time."""

SILENCE = "python:bench.processes.handlers:silence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """How fast it went, and what it cost."""

    messages: int
    seconds: float
    windows: int
    worker_s: float
    redis_s: float

    @property
    def per_s(self) -> float:
        """Messages in a second."""
        return self.messages / self.seconds


def whole_users(messages: int) -> int:
    """So many messages, less what does not make a whole user."""
    return messages - messages % PER_USER


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


def windows_consumer(redis: RedisServer, **settings: str) -> Process:
    """A worker whose windows close with their fifth message, and whose journal keeps all."""
    shared = {
        "HANDLER": SILENCE,
        "MAX_WAIT_MS": str(MAX_WAIT_MS),
        "MAX_MESSAGES": str(WINDOW),
        "RETENTION_MS": str(JOURNAL_MS),
    }
    return consumer(redis, **{**shared, **settings})


async def drain(count: int, instances: int) -> Drained:
    """
    Store, then time one worker from its joining until the last window is finished.

    Raises:
        Void: a message is in no finished window, or in two, or something is left.
    """
    with redis_server() as redis:
        store = Store(redis.url)
        accepted = await append_all(store, stored_messages(count, instances))
        with windows_consumer(redis) as worker:
            await eventually(store.worker_count, "a worker that has joined")
            began_ms, before_s = store.now_ms(), used_s(worker, redis)
            await store.wait_finished()
            worker_s, redis_s = used_s(worker, redis)
            cut = int(worker.scrape().total("windows_closed_total"))
            worker.stop()
        journal = store.check_finished(accepted, cut=cut)
    return Drained(
        messages=count,
        seconds=(journal.last_ms - began_ms) / 1000,
        windows=journal.windows,
        worker_s=worker_s - before_s[0],
        redis_s=redis_s - before_s[1],
    )


def used_s(worker: Process, redis: RedisServer) -> tuple[float, float]:
    """Seconds of CPU so far, of the worker and of Redis."""
    return cpu_s(worker.pid), cpu_s(redis.pid)
