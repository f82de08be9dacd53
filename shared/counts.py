"""
Counts that outlive the processes that counted: for reports, nothing is decided by them.

A count of a process that dies between what it did and noting it is too low by that.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from shared.connect import Pipe
from shared.errors import BrokerRefused
from shared.keys import Keys

RECLAIMED = "reclaimed"
WORKERS_REMOVED = "workers_removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """
    Since the data were created. ``reclaimed``: entries that one worker had read and another took
    over. ``workers_removed``: workers that were found dead, and struck off the list.
    """

    reclaimed: int
    workers_removed: int


async def note(pipe: Pipe, key: str, name: str, more: int) -> None:
    """
    Add to a count; where Redis refuses that (it is full), it is not counted.

    Raises:
        BrokerUnavailable: no answer.
    """
    with suppress(BrokerRefused):
        await pipe.call("HINCRBY", key, name, more)


async def read_counts(pipe: Pipe, keys: Keys) -> Counts:
    """All of them, over all partitions."""
    parts = [keys.partition(number) for number in range(keys.partitions)]
    removed, *reclaimed = await asyncio.gather(
        pipe.call("HGET", keys.counts, WORKERS_REMOVED),
        *(pipe.call("HGET", part.counts, RECLAIMED) for part in parts),
    )
    return Counts(
        reclaimed=sum(int(count or 0) for count in reclaimed), workers_removed=int(removed or 0)
    )
