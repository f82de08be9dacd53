"""
Workers take stored messages through windows until all are finished, and are timed.

Users wrote ten messages each, which makes two windows of five. What Redis holds at the end says
whether the work was done: every entry in exactly one finished window, and nothing left over.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.payloads import message_maker, with_ids
from bench.servers import Process, consumer, cpu_s, redis_server
from bench.store import JOURNAL_MS, Place, Store, append_all
from shared.model import Message
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

PER_USER = 10
WINDOW = 5
SEED = 20_260_101

MAX_WAIT_MS = 600_000
"""Longer than storing takes: every window closes with its fifth message, none by time."""

SETTLE_LIMIT_S = 60.0

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


def stored_messages(count: int, instances: int, *, per_user: int = PER_USER) -> Iterator[Message]:
    """
    ``per_user`` messages of each user, in a shuffled order that is the same in every run.

    A user writes to one instance; users are spread evenly over the instances.
    """
    pattern = message_maker()
    users = [number % (count // per_user) for number in range(count)]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Messages in Redis, hidden from workers, as a file that new servers load."""

    folder: Path
    accepted: Sequence[Place]

    def server(self) -> RedisServer:
        """A Redis that holds them."""
        return redis_server(dir=str(self.folder))


async def store_once(messages: Iterable[Message], folder: Path) -> Stored:
    """Append them, once for all runs that begin with them."""
    with redis_server() as redis:
        store = Store(redis.url)
        accepted = await append_all(store, messages)
        store.hide_unread()
        store.call("SAVE")
        shutil.copytree(redis.folder, folder, ignore=shutil.ignore_patterns("*.sock", "*.log"))
    return Stored(folder=folder, accepted=accepted)


async def drain(stored: Stored, *, idle: int = 0, workers: int = 1, **settings: str) -> Drained:
    """
    Time workers that have joined and own their partitions, until the last window is finished.

    ``idle``: so many other instances have a stream with nothing in it.

    Raises:
        Void: a message is in no finished window, or in two, or something is left.
    """
    with stored.server() as redis, ExitStack() as stack:
        store = Store(redis.url)
        store.add_idle_instances(idle)
        started = [stack.enter_context(windows_consumer(redis, **settings)) for _ in range(workers)]
        await settle(started, store)
        before_s = _used_s(started, redis)
        began_ms = store.now_ms()
        store.show_unread()
        await store.wait_finished()
        worker_s, redis_s = _used_s(started, redis)
        cut = sum(int(worker.scrape().total("windows_closed_total")) for worker in started)
        for worker in started:
            worker.stop()
        journal = store.check_finished(stored.accepted, cut=cut)
    return Drained(
        messages=len(stored.accepted),
        seconds=(journal.last_ms - began_ms) / 1000,
        windows=journal.windows,
        worker_s=worker_s - before_s[0],
        redis_s=redis_s - before_s[1],
    )


async def settle(workers: Sequence[Process], store: Store) -> None:
    """Wait until each worker owns its share of the partitions and has rebuilt it."""
    share = store.keys.partitions // len(workers)
    for worker in workers:
        worker.wait_ready()

    def have_settled() -> bool:
        samples = [worker.scrape() for worker in workers]
        return all(
            sample.total("owned_partitions") == share
            and sample.total("takeover_seconds_count") >= share
            for sample in samples
        )

    await eventually(have_settled, "workers that own all partitions", SETTLE_LIMIT_S)


def _used_s(workers: Sequence[Process], redis: RedisServer) -> tuple[float, float]:
    return sum(cpu_s(worker.pid) for worker in workers), cpu_s(redis.pid)
