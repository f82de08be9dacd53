"""F2 with real ingest services: Redis dies, hangs or was never there, and they die."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shared.connect import open_pipe
from shared.keys import Keys
from tests.support.handler_server import Answer, HandlerServer
from tests.support.machine import watched_machine
from tests.support.redis_server import RedisServer
from tests.support.senders import USERS, Senders, assert_kept, found
from tests.support.service_process import ServiceProcess
from tests.support.shared_spool import PARTITIONS, drained, ready_status
from tests.support.waiting import eventually

ANSWER_S = 2.0
ANSWER_TURNS = 6
"""
The sender's, ingest's to take it, to give Redis up, the disk's thread's, ingest's to answer, and
the sender's again: each waits for the CPU, which on a starved machine is no longer quick.
"""

pytestmark = pytest.mark.timeout(120)


async def test_redis_and_ingest_killed_while_two_share_a_spool(
    durable_redis: RedisServer,
    spool_settings: dict[str, Any],
    prefix: str,
    tmp_path: Path,
    chance: random.Random,
) -> None:
    """F2: whatever dies, each accepted message is one entry, and a user's are in order."""
    async with (
        ServiceProcess("ingest", tmp_path, spool_settings) as first,
        ServiceProcess("ingest", tmp_path, spool_settings) as second,
    ):
        senders = Senders()
        senders.start([first, second])
        for _ in range(3):
            before = senders.spooled
            await asyncio.sleep(chance.uniform(0.1, 0.4))
            durable_redis.kill()
            await eventually(partial(senders.has_spooled, before + 100), "a spool that fills")
            first.kill()
            await first.start()
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            durable_redis.start()
            # While it replays, once more.
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            first.kill()
            await first.start()
        await senders.end()
        await drained([first, second], tmp_path / "spool")

    assert_kept(await found(durable_redis.url, Keys(prefix, PARTITIONS)), senders.sent)
    assert senders.spooled > 300, "void: nothing was spooled"


async def test_a_redis_that_comes_and_goes(
    durable_redis: RedisServer,
    spool_settings: dict[str, Any],
    prefix: str,
    tmp_path: Path,
    chance: random.Random,
) -> None:
    """However often the states change, in whatever moment: one entry each, in order, no 503."""
    async with ServiceProcess("ingest", tmp_path, spool_settings) as ingest:
        senders = Senders()
        senders.start([ingest])
        faults = 0
        while faults < 10 or not senders.has_spooled(50):
            faults += 1
            await asyncio.sleep(chance.uniform(0.0, 0.6))
            fault = chance.choice(("pause", "kill", "full", "cut"))
            if fault == "kill":
                durable_redis.kill()
                await asyncio.sleep(chance.uniform(0.0, 0.8))
                durable_redis.start()
            elif fault == "pause":
                durable_redis.pause()
                await asyncio.sleep(chance.uniform(0.3, 1.5))
                durable_redis.resume()
            else:
                await disturb(durable_redis, fault, chance.uniform(0.0, 0.8))
        await senders.end()
        await drained([ingest], tmp_path / "spool")
    assert_kept(await found(durable_redis.url, Keys(prefix, PARTITIONS)), senders.sent)
    assert senders.refused == 0
    assert senders.spooled > 50, "void: hardly anything was spooled"


async def disturb(durable_redis: RedisServer, fault: str, span_s: float) -> None:
    """Out of memory for a while, or every connection cut."""
    async with open_pipe(durable_redis.url, timeout_ms=5000, name="operator") as operator:
        if fault == "full":
            await operator.call("CONFIG", "SET", "maxmemory", "1")
            await asyncio.sleep(span_s)
            await operator.call("CONFIG", "SET", "maxmemory", "0")
        else:
            await operator.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


async def test_ingest_answers_while_redis_hangs(
    durable_redis: RedisServer, spool_settings: dict[str, Any], prefix: str, tmp_path: Path
) -> None:
    """F6: within two seconds, however long nothing answers; nobody is told 503."""
    async with ServiceProcess("ingest", tmp_path, spool_settings) as ingest:
        with watched_machine() as machine:
            senders = Senders()
            senders.start([ingest])
            await eventually(lambda: senders.accepted > 100, "messages in health")
            durable_redis.pause()
            await eventually(lambda: senders.spooled > 200, "a spool that fills")
            durable_redis.resume()
            await senders.end()
        await drained([ingest], tmp_path / "spool")
    print(  # noqa: T201  figures
        f"slowest answer {senders.slowest_s:.2f} s; "
        f"who waited longest for the CPU did for {machine.worst_s:.3f} s"
    )
    assert senders.refused == 0
    assert senders.slowest_s < machine.allows_s(ANSWER_S, ANSWER_TURNS)
    assert_kept(await found(durable_redis.url, Keys(prefix, PARTITIONS)), senders.sent)


async def test_ingest_takes_messages_before_redis_was_ever_there(
    durable_redis: RedisServer, spool_settings: dict[str, Any], prefix: str, tmp_path: Path
) -> None:
    """A restart during an outage does not end the service; it says that it is degraded."""
    durable_redis.kill()
    async with ServiceProcess("ingest", tmp_path, spool_settings) as ingest:
        assert await ready_status(ingest) == (200, "degraded")
        senders = Senders()
        senders.start([ingest])
        await eventually(lambda: senders.spooled > 100, "a spool that fills")
        assert await ingest.stop() == 0
        await ingest.start()
        durable_redis.start()
        await senders.end()
        await drained([ingest], tmp_path / "spool")
        assert await ready_status(ingest) == (200, "ok")
    assert_kept(await found(durable_redis.url, Keys(prefix, PARTITIONS)), senders.sent)


async def test_ingest_killed_while_it_handles_at_once(
    durable_redis: RedisServer,
    spool_settings: dict[str, Any],
    prefix: str,
    tmp_path: Path,
    chance: random.Random,
) -> None:
    """``direct``: each message is handled here or is an entry; both only what the kill cut off."""

    async def answer(_call: Any) -> Answer:
        await asyncio.sleep(chance.uniform(0.005, 0.05))
        return Answer(status=500 if chance.random() < 0.02 else 204)

    async with HandlerServer(answer) as handler:
        direct = {**spool_settings, "on_outage": "direct", "handler": handler.url}
        durable_redis.kill()
        async with ServiceProcess("ingest", tmp_path, direct) as ingest:
            senders = Senders()
            senders.start([ingest])
            await handler.wait_for_calls(201)
            ingest.kill()
            await ingest.start()
            # Those whose messages were cut off wait for Redis; others are served.
            senders.start([ingest], "later")
            await handler.wait_for_calls(len(handler.calls) + 200)
            durable_redis.start()
            await senders.end()
            await drained([ingest], tmp_path / "spool")
            failed = await ingest.metric("direct_handled_total", outcome="failed")
        called = [call.json["messages"][0]["message_id"] for call in handler.calls]

    entries = await found(durable_redis.url, Keys(prefix, PARTITIONS))
    for user, sent in senders.sent.items():
        there = entries.get(user, [])
        assert set(sent) == set(there) | (set(called) & set(sent)), f"{user}: lost"
        assert there == [one for one in sent if one in set(there)], f"{user}: out of order"
    # Of the life before the kill nobody knows how many failed: at most one of each user, for a
    # user's next message is not handled at once after it. One more of each was in hand.
    twice = [one for ids in entries.values() for one in ids if one in set(called)]
    assert len(twice) <= failed + 2 * USERS
    assert len(called) == len(set(called)), "handled at once twice"
    assert len(called) > 400, "void: hardly anything was handled at once"
