"""
A look at what is ours though no bell rings.

A bell may be deleted, or ring while its ring is lost. So every few seconds two commands ask of
all partitions together (in a cluster: two of each) what their bells would have told: is something
unread, or unsent? A partition of which that is so is rung, and finds out by itself what it has to
do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from consumer.partition import Partition
from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.keys import Keys

LOOK_S = 10.0

log = structlog.get_logger()


async def keep_looking(pipe: Pipe, keys: Keys, partitions: Mapping[int, Partition]) -> None:
    """Look again and again, until cancelled. An outage is told by what waits for the bells."""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            await look(pipe, keys, [p for p in partitions.values() if p.loaded])
        except (BrokerUnavailable, BrokerRefused) as error:
            log.debug("silence.unknown", error=str(error))


async def look(pipe: Pipe, keys: Keys, partitions: Sequence[Partition]) -> None:
    """
    Ring every partition that has replies it does not know; and all asked together with one that
    has unread entries.

    Raises:
        BrokerUnavailable, BrokerRefused: some could not be asked, and were not rung.
    """
    by_ready = {keys.partition(p.number).ready: p for p in partitions}
    groups = pipe.together(list(by_ready))
    looks = [_look_at(pipe, keys, [by_ready[ready] for ready in group]) for group in groups]
    for error in await asyncio.gather(*looks, return_exceptions=True):
        if error is not None:
            raise error


async def _look_at(pipe: Pipe, keys: Keys, partitions: Sequence[Partition]) -> None:
    unread, unsent = await _ask(pipe, keys, partitions)
    for partition in partitions:
        if unread or keys.partition(partition.number).outbox in unsent:
            partition.ring()


async def _ask(pipe: Pipe, keys: Keys, partitions: Sequence[Partition]) -> tuple[bool, set[str]]:
    """Whether any of these has unread entries; and the outboxes with replies not known here."""
    names = [keys.partition(p.number) for p in partitions]
    last = [str(p.sender.outbox.last or "0-0") for p in partitions]
    unread, unsent = await asyncio.gather(
        pipe.call("EXISTS", *(name.ready for name in names)),
        pipe.call("XREAD", "COUNT", 1, "STREAMS", *(name.outbox for name in names), *last),
    )
    return unread > 0, {key.decode() for key, _ in unsent or ()}
