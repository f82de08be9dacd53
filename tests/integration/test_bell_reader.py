"""Waiting for bells: what is heard, and what is heard after Redis has lost something."""

from __future__ import annotations

from redis.asyncio import Redis

from consumer import silence
from consumer.bells import BellReader
from shared.connect import Pipe
from tests.support.bells import last_heard
from tests.support.clients import cut_others
from tests.support.deployment import RunningWorker, deployment
from tests.support.handler_server import HandlerServer
from tests.support.partition_scripts import SHOP, Scripts
from tests.support.waiting import eventually

LATER = "99999999999999-1"
"""An id that no ring of today reaches."""


async def ring(pipe: Pipe, bell: str, entry_id: str = "*") -> None:
    """As the scripts do."""
    await pipe.call("XADD", bell, "MAXLEN", 1, entry_id, "r", 1)


async def test_a_ring_is_heard_once(pipe: Pipe, prefix: str) -> None:
    """A new bell counts as rung; afterwards each ring wakes exactly one wait."""
    bells, bell = BellReader(pipe), f"{prefix}:bell"
    assert await bells.wait([bell]) == {bell: None}
    await ring(pipe, bell)
    assert await bells.wait([bell]) == {bell: None}
    assert await bells.wait([bell]) == {}


async def test_a_ring_may_say_whose_stream_became_ready(scripts: Scripts) -> None:
    """Append's rings do; the last one is heard."""
    bells, bell = BellReader(scripts.pipe), scripts.p.bell
    await bells.wait([bell])
    await scripts.append("A")
    assert await bells.wait([bell]) == {bell: SHOP}
    await scripts.append("B", instance="clinic")
    await ring(scripts.pipe, bell)
    assert await bells.wait([bell]) == {bell: None}


async def test_rings_under_lower_ids_are_heard_after_a_lost_connection(
    pipe: Pipe, prefix: str
) -> None:
    """A server that lost the last rings, as after a failover, is heard again."""
    bells, bell = BellReader(pipe), f"{prefix}:bell"
    await ring(pipe, bell, LATER)
    await bells.wait([bell])
    await pipe.call("DEL", bell)
    await ring(pipe, bell)
    assert await bells.wait([bell]) == {}

    bells.forget()

    assert await bells.wait([bell]) == {bell: None}
    await ring(pipe, bell)
    assert await bells.wait([bell]) == {bell: None}


async def test_a_worker_hears_a_server_that_lost_its_last_rings(
    redis_client: Redis, redis_url: str, prefix: str
) -> None:
    """Ids go back and connections are cut: the next message is read at once, not when polled."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, partitions=1, lease_ms=30_000) as shop,
        shop.worker() as worker,
    ):
        await worker.owns(1)
        bell = shop.keys.partition(0).bell
        await redis_client.xadd(bell, {"r": "1"}, id=LATER, maxlen=1, approximate=False)
        await eventually(lambda: heard(worker, bell) == LATER.encode(), "the late ring")
        await redis_client.delete(bell)
        await cut_others(redis_client)
        await eventually(lambda: heard(worker, bell) not in (None, LATER.encode()), "new ids")
        await worker.owns(1)
        await shop.say("alice", "hi")
        await server.wait_for_calls(1, deadline_s=silence.LOOK_S / 2)


def heard(worker: RunningWorker, bell: str) -> bytes | None:
    """The last ring of a bell that a worker has seen."""
    return last_heard(worker.worker._bells, bell)
