"""
A backlog written at once, as hours without any worker leave it, and what handlers note of it.

The entries are those that ``append`` writes, but with ids of the past: a million calls of the
script would take a minute, and all ids would be of that minute.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from redis.asyncio import Redis

CALLS_FILE = "TEST_CALLS_FILE"
"""The environment's name for where ``tests.support.noting`` notes its calls."""

BATCH = 2000

ADD_MANY = """
for i = 1, #ARGV, 2 do
  redis.call('XADD', KEYS[1], ARGV[i], 'm', ARGV[i + 1])
end
"""


class Waiting(NamedTuple):
    """One message of a backlog: its id's ms, who wrote it, and base64 of its media."""

    ms: int
    user: str
    media: str = ""


def entry_value(user: str, number: int, media: str) -> bytes:
    """The value of an entry, by the form that DESIGN.md and ``shared/wire.py`` give it."""
    body: dict[str, Any] = {
        "v": 1,
        "user": user,
        "message_id": f"B{number}",
        "text": f"message {number}: are you open on friday?",
        "received_at": 1,
        "reply_to": f"{user}@s.whatsapp.net",
    }
    if media:
        body |= {"kind": "image", "media": {"mime": "image/jpeg", "data": media}}
    return orjson.dumps(body)


async def write_backlog(redis: Redis, base: str, instance: str, waiting: Iterable[Waiting]) -> int:
    """
    Fill an instance's stream in the partition whose keys begin with ``base``; how many.

    ``waiting`` is in order of its times.
    """
    stream = f"{base}:stream:{instance}"
    await redis.xgroup_create(stream, "workers", "0", mkstream=True)
    await redis.sadd(f"{base}:streams", instance)
    numbers = itertools.count()
    for batch in _batches(waiting):
        arguments: list[str | bytes] = []
        for one in batch:
            number = next(numbers)
            arguments += (f"{one.ms}-{number}", entry_value(one.user, number, one.media))
        await redis.eval(ADD_MANY, 1, stream, *arguments)
    await redis.zadd(f"{base}:ready", {instance: 1})
    await redis.xadd(f"{base}:bell", {"r": "1"}, maxlen=1)
    return next(numbers)


def _batches(waiting: Iterable[Waiting]) -> Iterator[list[Waiting]]:
    rest = iter(waiting)
    size = 0
    batch: list[Waiting] = []
    for one in rest:
        batch.append(one)
        size += 1 + len(one.media) // 100
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """One call that the handler noted: wall time in ms, and how long after the due time it came."""

    instance: str
    window_id: str
    attempt: int
    entry_ids: tuple[str, ...]
    size: int
    late_ms: int


def read_calls(path: Path) -> Iterator[Noted]:
    """What ``noting`` wrote."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        for line in lines:
            body = orjson.loads(line)
            body["entry_ids"] = tuple(body["entry_ids"])
            yield Noted(**body)


def peak_bytes(pid: int) -> int:
    """The most memory that a process ever had in RAM (``VmHWM``)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def calls_file() -> Path:
    """Where this process notes."""
    return Path(os.environ[CALLS_FILE])
