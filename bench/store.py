"""
What a bench puts into Redis, and the account of what became of it there.

It is taken from what Redis holds, not from what the services say: every accepted entry is in
exactly one finished window, and nothing is left over.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import redis

from bench.report import Void
from ingest.append import RedisAppender
from shared.keys import GROUP, Keys, conversation_hash
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import Message
from shared.settings import Settings
from tests.support.pipes import running_pipe

JOURNAL_MS = 3_600_000
"""``RETENTION_MS`` of every bench that checks the journal: nothing of a run may be trimmed."""

Place = tuple[str, str]
"""Hash of the conversation, and entry id: ids are unique only within one stream."""

AT_ONCE = 512
WATCH_S = 0.1
QUIET_S = 0.5
"""Streams are asked for what is left when no window has been finished for so long, not before: of a
hundred thousand that takes Redis a quarter of a second."""

STALL_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What became of the windows: their number, their entries, attempts beyond the first."""

    windows: int
    entries: Counter[Place]
    repeated: int
    last_ms: int


class Store:
    """One bench's Redis, looked at from outside; ``INTURN_PARTITIONS`` counts as for services."""

    def __init__(self, url: str) -> None:
        settings = Settings.model_fields
        partitions = os.environ.get("INTURN_PARTITIONS") or settings["partitions"].default
        self.keys = Keys(settings["prefix"].default, int(partitions))
        self.url = url
        self._redis = redis.Redis.from_url(url, protocol=2)

    def call(self, *command: Any) -> Any:
        """One command's answer."""
        return self._redis.execute_command(*command)  # type: ignore[no-untyped-call]

    def call_many(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The answers of many commands, in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        return pipeline.execute()

    def now_ms(self) -> int:
        """Redis's time."""
        seconds, microseconds = self.call("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    def used_bytes(self) -> int:
        """Memory that Redis's data take."""
        return int(self.call("INFO", "memory")["used_memory"])

    def peak_bytes(self) -> int:
        """The most that it ever was."""
        return int(self.call("INFO", "memory")["used_memory_peak"])

    def script_us(self) -> int:
        """Microseconds that Redis has spent in scripts, with all that they call."""
        stats = self.call("INFO", "commandstats")
        names = ("cmdstat_evalsha", "cmdstat_eval")
        return sum(int(stats[name]["usec"]) for name in names if name in stats)

    def calls_count(self) -> int:
        """Commands that were called, also by scripts."""
        stats = self.call("INFO", "commandstats")
        return sum(int(of_one["calls"]) for of_one in stats.values())

    def reads_count(self) -> int:
        """How often it has read from a connection: a pipelined batch is one."""
        return int(self.call("INFO", "stats")["total_reads_processed"])

    def worker_count(self) -> int:
        """Workers that have joined."""
        return int(self.call("SCARD", self.keys.workers))

    def streams(self) -> list[str]:
        """The keys of all streams of messages."""
        names = self._of_partitions("SMEMBERS", "streams")
        return [
            self.keys.partition(number).stream(name.decode())
            for number, members in enumerate(names)
            for name in members
        ]

    def backlog(self, streams: Sequence[str]) -> int:
        """Messages that are not finished."""
        return sum(self.call_many([("XLEN", stream) for stream in streams]))

    def known(self) -> int:
        """Message ids that dedupe remembers, which are as many as entries while none is old."""
        keys = set(self._redis.scan_iter(f"{self.keys.prefix}:*:seen:*", count=AT_ONCE))
        return sum(self.call_many([("HLEN", key) for key in keys]))

    def pending(self, streams: Sequence[str]) -> int:
        """Messages that a worker has read and not finished."""
        answers = self.call_many([("XPENDING", stream, GROUP) for stream in streams])
        return sum(int(answer["pending"]) for answer in answers)

    def started(self) -> int:
        """Windows that were started and are not finished."""
        return sum(self._of_partitions("HLEN", "running"))

    def unsent(self) -> int:
        """Replies that wait, or are on their way."""
        return sum(self._of_partitions("XLEN", "outbox"))

    def journal(self) -> Journal:
        """The journals of all partitions."""
        entries: Counter[Place] = Counter()
        windows = repeated = last_ms = 0
        for lines in self._of_partitions("XRANGE", "journal", "-", "+"):
            for line_id, line in lines:
                if b"ids" not in line:
                    continue
                windows += 1
                repeated += line[b"attempt"] != b"1"
                who = line[b"who"].decode()
                entries.update((who, entry_id) for entry_id in line[b"ids"].decode().split())
                last_ms = max(last_ms, int(line_id.split(b"-")[0]))
        return Journal(windows=windows, entries=entries, repeated=repeated, last_ms=last_ms)

    def spans_ms(self) -> Iterator[tuple[Place, float]]:
        """Of each finished message, from its append to its window's finish."""
        for lines in self._of_partitions("XRANGE", "journal", "-", "+"):
            for line_id, line in lines:
                finished_ms, who = int(line_id.split(b"-")[0]), line.get(b"who", b"").decode()
                for entry_id in line.get(b"ids", b"").decode().split():
                    yield (who, entry_id), finished_ms - int(entry_id.partition("-")[0])

    def delete_journals(self) -> None:
        """Forget what became of the windows, as time does."""
        self._of_partitions("DEL", "journal")

    def hide_unread(self) -> None:
        """Keep what is unread from every worker, so that one can settle before it begins."""
        self._rename_ready("ready", "hidden")

    def show_unread(self) -> None:
        """Undo ``hide_unread``, and ring the bells, as ``append`` does."""
        self._rename_ready("hidden", "ready")
        bells = [self.keys.partition(number).bell for number in range(self.keys.partitions)]
        self.call_many([("XADD", bell, "MAXLEN", 1, "*", "r", 1) for bell in bells])

    def add_idle_instances(self, count: int) -> None:
        """Instances whose messages were all finished just now: an empty stream for each."""
        last_id = f"{self.now_ms()}-0"
        for first in range(0, count, AT_ONCE):
            commands: list[tuple[Any, ...]] = []
            for number in range(first, min(first + AT_ONCE, count)):
                name = f"idle-{number}"
                keys = self.keys.of(name, name)
                commands.append(("XGROUP", "CREATE", keys.stream(name), GROUP, 0, "MKSTREAM"))
                commands.append(("XSETID", keys.stream(name), last_id))
                commands.append(("SADD", keys.streams, name))
            self.call_many(commands)

    async def wait_finished(self) -> None:
        """
        Wait until every message is finished.

        Raises:
            Void: for ``STALL_S`` none was.
        """
        windows, changed_s = -1, time.monotonic()
        while True:
            before, windows = windows, sum(self._of_partitions("XLEN", "journal"))
            quiet_s = time.monotonic() - changed_s
            if windows != before:
                changed_s = time.monotonic()
            elif quiet_s > QUIET_S and not (left := self.backlog(self.streams())):
                return
            elif quiet_s > STALL_S:
                raise Void(f"{left} messages are not finished, and nothing moves")
            await asyncio.sleep(WATCH_S)

    def check_finished(self, accepted: Sequence[Place], *, cut: int) -> Journal:
        """
        The journal, when it accounts for all ``accepted`` entries in ``cut`` windows.

        Raises:
            Void: with everything that does not add up.
        """
        streams, journal = self.streams(), self.journal()
        expected = Counter(accepted)
        problems = {
            "windows cut and not finished": abs(cut - journal.windows),
            "entries lost": (expected - journal.entries).total(),
            "entries doubled or foreign": (journal.entries - expected).total(),
            "windows tried again": journal.repeated,
            "messages left": self.backlog(streams),
            "entries pending": self.pending(streams),
            "records left": self.started(),
            "dead letters": sum(self._of_partitions("XLEN", "dead")),
        }
        found = [f"{what}: {count}" for what, count in problems.items() if count]
        if found:
            raise Void("; ".join(found))
        return journal

    def _rename_ready(self, old: str, new: str) -> None:
        bases = [self.keys.partition(number).base for number in range(self.keys.partitions)]
        there = self.call_many([("EXISTS", f"{base}:{old}") for base in bases])
        found = [base for base, exists in zip(bases, there, strict=True) if exists]
        self.call_many([("RENAME", f"{base}:{old}", f"{base}:{new}") for base in found])

    def _of_partitions(self, command: str, key: str, *rest: str) -> list[Any]:
        numbers = range(self.keys.partitions)
        keys = [getattr(self.keys.partition(number), key) for number in numbers]
        return self.call_many([(command, name, *rest) for name in keys])


async def append_all(store: Store, messages: Iterable[Message]) -> list[Place]:
    """Append through ingest's own way; where each message is."""
    metrics = IngestMetrics(InstanceLabels(1))
    dedupe_ms: int = Settings.model_fields["dedupe_ms"].default
    places: list[Place] = []
    async with running_pipe(store.url) as pipe:
        appender = RedisAppender(pipe, store.keys, dedupe_ms, metrics)
        rest = iter(messages)
        while chunk := list(islice(rest, AT_ONCE)):
            for message, accepted in zip(chunk, await appender.append(chunk), strict=True):
                if accepted.duplicate or accepted.entry_id is None:
                    raise Void(f"message {accepted.message_id} was not new")
                who = conversation_hash(message.instance, message.user)
                places.append((who, accepted.entry_id))
    return places
