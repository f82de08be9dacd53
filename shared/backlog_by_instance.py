"""
What is unfinished of each instance, and how much of it nobody works on.

For a person or a program that asks now and then: every stream is looked at, also those that are
empty, without a message travelling. Nothing is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from shared.connect import Pipe
from shared.errors import BrokerRefused
from shared.keys import GROUP, Keys, PartitionKeys
from shared.scripts import load_script
from shared.unfinished import STREAMS_PER_CALL

STREAMS_AT_ONCE = 64

_One = TypeVar("_One")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceBacklog:
    """
    One instance's unfinished messages, and when the oldest came (Redis's ms).

    ``orphans``: those that a worker has read which lives no more. The next owner of the partition
    takes them over, within ``LEASE_MS`` and two seconds.
    """

    instance: str
    messages: int
    oldest_at: int
    orphans: int


async def backlog_by_instance(
    pipe: Pipe, keys: Keys, live: Collection[str]
) -> list[InstanceBacklog]:
    """
    Every instance that has something unfinished, the largest backlog first. ``live``: the workers.

    Raises:
        BrokerUnavailable: no answer.
        BrokerRefused: Redis refused to tell.
    """
    parts = [keys.partition(number) for number in range(keys.partitions)]
    found = await asyncio.gather(*(_look_at(pipe, part, live) for part in parts))
    merged: dict[str, InstanceBacklog] = {}
    for one in (each for some in found for each in some):
        known = merged.get(one.instance)
        merged[one.instance] = one if known is None else _sum(known, one)
    return sorted(merged.values(), key=lambda one: (-one.messages, one.instance))


async def named_backlog(pipe: Pipe, keys: Keys) -> dict[str, InstanceBacklog]:
    """
    The same by name for who looks each second: of streams that ``ready`` or ``pending`` name alone,
    which is all that workers of this version read, and without their ``orphans``.

    Raises:
        BrokerUnavailable: no answer.
        BrokerRefused: Redis refused to tell.
    """
    parts = [keys.partition(number) for number in range(keys.partitions)]
    named = await pipe.call_each(("ZUNION", 2, part.ready, part.pending) for part in parts)
    streams = [
        (part, name.decode()) for part, names in zip(parts, named, strict=True) for name in names
    ]
    merged: dict[str, InstanceBacklog] = {}
    for page in _pages(streams, STREAMS_AT_ONCE):
        counted = await asyncio.gather(*(_count(pipe, part, name) for part, name in page))
        for one in counted:
            if one is not None:
                known = merged.get(one.instance)
                merged[one.instance] = one if known is None else _sum(known, one)
    return merged


async def filled_streams(pipe: Pipe, part: PartitionKeys) -> list[str]:
    """The instances that have something unfinished in a partition, in the order of their names."""
    names = sorted(name.decode() for name in await pipe.call("SMEMBERS", part.streams))
    filled: list[str] = []
    for page in _pages(names, STREAMS_PER_CALL):
        streams = (part.pending, *map(part.stream, page))
        _, _, numbers = await pipe.script(load_script("survey"), streams, ())
        filled += [page[number - 1] for number in numbers]
    return filled


async def _look_at(pipe: Pipe, part: PartitionKeys, live: Collection[str]) -> list[InstanceBacklog]:
    found: list[InstanceBacklog | None] = []
    for page in _pages(await filled_streams(pipe, part), STREAMS_AT_ONCE):
        found += await asyncio.gather(*(_look_into(pipe, part, name, live) for name in page))
    return [one for one in found if one is not None]


async def _look_into(
    pipe: Pipe, part: PartitionKeys, instance: str, live: Collection[str]
) -> InstanceBacklog | None:
    found, orphans = await asyncio.gather(
        _count(pipe, part, instance), _orphans(pipe, part.stream(instance), live)
    )
    return None if found is None else replace(found, orphans=orphans)


async def _count(pipe: Pipe, part: PartitionKeys, instance: str) -> InstanceBacklog | None:
    """None: nothing is unfinished."""
    keys = part.pending, part.stream(instance)
    messages, oldest_at, _ = await pipe.script(load_script("survey"), keys, ())
    if not messages:
        return None
    return InstanceBacklog(instance=instance, messages=messages, oldest_at=oldest_at, orphans=0)


async def _orphans(pipe: Pipe, stream: str, live: Collection[str]) -> int:
    try:
        _, _, _, readers = await pipe.call("XPENDING", stream, GROUP)
    except BrokerRefused as error:
        if error.code != "NOGROUP":
            raise
        return 0  # nobody has read anything; the owner makes the group again
    return sum(int(count) for name, count in readers or () if name.decode() not in live)


def _sum(one: InstanceBacklog, other: InstanceBacklog) -> InstanceBacklog:
    return InstanceBacklog(
        instance=one.instance,
        messages=one.messages + other.messages,
        oldest_at=min(one.oldest_at, other.oldest_at),
        orphans=one.orphans + other.orphans,
    )


def _pages(names: Sequence[_One], size: int) -> Iterator[Sequence[_One]]:
    return (names[at : at + size] for at in range(0, len(names), size))
