"""Appending to a partition whose slot moves, to a server that does not know the script."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from itertools import cycle, groupby, islice

import pytest

from ingest.append import RedisAppender
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import Message
from shared.redis_binary import ServerBinary
from shared.wire import decode_entry
from tests.support.cluster import RedisCluster, ask
from tests.support.pipes import running_pipe
from tests.support.slot_moves import move_slot_of

USERS = 20

MOVES_MAX = 20
"""To and fro, until a group came to each master while it had the slot."""


@pytest.fixture
def cluster(redis_binary: ServerBinary) -> Iterator[RedisCluster]:
    """Two masters alone."""
    with RedisCluster(redis_binary, masters=2, replicas=0) as made:
        yield made


def refusals(cluster: RedisCluster, code: str) -> int:
    """How often the masters have said it."""
    said = b"".join(ask(server, "INFO", "errorstats") for server in cluster.masters).decode()
    return sum(int(count) for count in re.findall(rf"errorstat_{code}:count=(\d+)", said))


async def test_groups_follow_their_slot_and_are_loaded_where_it_goes(
    cluster: RedisCluster, prefix: str
) -> None:
    """
    Each message is one entry, each user's in order, though groups are turned away in the middle
    of a batch, and the node that takes the slot has never seen the script.
    """
    keys = Keys(prefix, 1)
    stream = keys.partition(0).stream("shop")
    said: dict[str, list[str]] = {f"user-{number}": [] for number in range(USERS)}
    source = cluster.master_of(stream)
    (target,) = (server for server in cluster.masters if server is not source)
    async with running_pipe(cluster.url) as pipe:
        metrics = IngestMetrics(InstanceLabels(10))
        appender = RedisAppender(pipe, keys, 60_000, metrics)

        async def write(user: str, moves: asyncio.Future[None]) -> None:
            while not moves.done():
                own = f"{user}:{len(said[user])}"
                said[user].append(own)
                one = Message(instance="shop", user=user, message_id=own, received_at=1)
                assert not (await appender.append([one]))[0].duplicate

        def move_about() -> None:
            moved_to = islice(cycle((target, source)), MOVES_MAX)
            for count, server in enumerate(moved_to, 1):
                move_slot_of(cluster, stream, server)
                met = refusals(cluster, "NOSCRIPT") >= 2 and refusals(cluster, "MOVED") > 0
                if met and count >= 3:
                    return

        moves = asyncio.ensure_future(asyncio.to_thread(move_about))
        await asyncio.gather(moves, *(write(user, moves) for user in said))
        assert refusals(cluster, "NOSCRIPT") >= 2, "void: a master that never ran the script"
        assert refusals(cluster, "MOVED") > 0, "void: nothing was turned away"
        rows = await pipe.call("XRANGE", stream, "-", "+")
    entries = [decode_entry("shop", entry_id, fields).message for entry_id, fields in rows]
    entries.sort(key=lambda one: one.user)
    kept = {
        user: [one.message_id for one in own]
        for user, own in groupby(entries, key=lambda one: one.user)
    }
    assert kept == said
