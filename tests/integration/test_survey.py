"""The numbers that both services export, from a real Redis."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from ingest.append import RedisAppender
from shared import unfinished
from shared.connect import Pipe
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels, StoreMetrics
from shared.model import Message
from shared.redis_binary import ServerBinary
from shared.redis_time import time_ms_at
from shared.scripts import load_script
from shared.survey import Kept, Surveyor, count_kept, keep_surveying, survey_store
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

PARTITIONS = 4


@pytest.fixture
def keys(prefix: str) -> Keys:
    """Of four partitions under a prefix of the test's own."""
    return Keys(prefix, PARTITIONS)


async def append_message(pipe: Pipe, keys: Keys, user: str, message_id: str = "M1") -> None:
    """As ingest does it."""
    appender = RedisAppender(pipe, keys, 86_400_000, IngestMetrics(InstanceLabels(10)))
    message = Message(instance="shop", user=user, message_id=message_id, received_at=1)
    await appender.append([message])


async def take_lease(pipe: Pipe, keys: Keys, number: int) -> None:
    """As a worker does it."""
    p = keys.partition(number)
    await pipe.script(load_script("acquire"), (p.lease, p.epoch), ("worker-a", 60_000))


async def finish_all(client: Redis, keys: Keys) -> None:
    """Leave the streams as they are when everything was read and finished."""
    for number in range(PARTITIONS):
        p = keys.partition(number)
        await client.xtrim(p.stream("shop"), maxlen=0)
        await client.delete(p.ready)


async def test_survey_of_nothing(pipe: Pipe, keys: Keys) -> None:
    """Before the first message there is no backlog, no age, and nobody owns anything."""
    found = await survey_store(pipe, keys)
    assert (found.backlog_messages, found.oldest_unfinished_s) == (0, 0)
    assert found.without_owner == (0, 1, 2, 3)
    assert await count_kept(pipe, keys) == Kept(replies=0, dead_letters=0)


async def test_survey_counts_every_unfinished_message_and_every_owned_partition(
    pipe: Pipe, keys: Keys
) -> None:
    """The backlog is the length of all streams, over all partitions."""
    for number in range(20):
        await append_message(pipe, keys, f"user-{number}")
    await take_lease(pipe, keys, 2)
    found = await survey_store(pipe, keys)
    assert found.backlog_messages == 20
    assert all(partition.messages for partition in found.partitions)
    assert found.without_owner == (0, 1, 3)
    assert [part.number for part in found.partitions if part.owned] == [2]
    assert 0 <= found.oldest_unfinished_s < 60


async def test_many_streams_of_one_partition_are_counted_in_pages(
    pipe: Pipe, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No script runs over more streams than it may."""
    monkeypatch.setattr(unfinished, "STREAMS_PER_CALL", 2)
    p = keys.partition(1)
    for number in range(5):
        await pipe.call("XADD", p.stream(f"shop {number}"), f"{1000 - number}-0", "m", "x")
        await pipe.call("SADD", p.streams, f"shop {number}")
    partition = (await survey_store(pipe, keys)).partitions[1]
    assert (partition.messages, partition.oldest_at) == (5, 996)


async def test_age_is_counted_by_redis_time(pipe: Pipe, keys: Keys) -> None:
    """The clock of the machine that asks plays no part in it."""
    p = keys.partition(0)
    seconds = await time_ms_at(pipe, p.streams) // 1000
    await pipe.call("SADD", p.streams, "shop")
    await pipe.call("XADD", p.stream("shop"), f"{(seconds - 90) * 1000}-0", "m", "x")
    assert (await survey_store(pipe, keys)).oldest_unfinished_s == pytest.approx(90, abs=3)
    await pipe.call("XTRIM", p.stream("shop"), "MAXLEN", "0")
    await pipe.call("XADD", p.stream("shop"), f"{(seconds + 3600) * 1000}-0", "m", "x")
    assert (await survey_store(pipe, keys)).oldest_unfinished_s == 0


async def test_quiet_partition_is_passed_over_until_its_bell_rings(
    pipe: Pipe, keys: Keys, redis_client: Redis
) -> None:
    """Partitions that are empty and silent cost three commands (each slot), till an append."""
    surveyor = Surveyor(pipe, keys)
    await append_message(pipe, keys, "ana")
    await finish_all(redis_client, keys)
    for number in range(PARTITIONS):
        await take_lease(pipe, keys, number)
    assert (await surveyor.survey()).backlog_messages == 0
    asked = pipe_commands(pipe)
    found = await surveyor.survey()
    assert (found.backlog_messages, found.without_owner) == (0, ())
    slots = len(pipe.together([keys.partition(number).bell for number in range(PARTITIONS)]))
    assert Counter(asked) == dict.fromkeys(("EXISTS", "TIME", "XREAD"), slots)
    await append_message(pipe, keys, "ana", "M2")
    assert (await surveyor.survey()).backlog_messages == 1


async def test_partition_with_unread_names_is_never_passed_over(
    pipe: Pipe, keys: Keys, redis_client: Redis
) -> None:
    """While ``ready`` holds a name an append rings nothing, so such a partition is looked at."""
    surveyor = Surveyor(pipe, keys)
    await append_message(pipe, keys, "ana")
    await redis_client.xtrim(keys.of("shop", "ana").stream("shop"), maxlen=0)
    assert (await surveyor.survey()).backlog_messages == 0
    await append_message(pipe, keys, "ana", "M2")
    assert (await surveyor.survey()).backlog_messages == 1


async def test_replies_and_dead_letters_are_counted(pipe: Pipe, keys: Keys) -> None:
    """What is finished and still kept is told apart from the backlog."""
    await pipe.call("XADD", keys.partition(0).outbox, "*", "m", "x")
    await pipe.call("XADD", keys.partition(3).outbox, "*", "m", "x")
    await pipe.call("XADD", keys.partition(1).dead, "*", "m", "x")
    assert await count_kept(pipe, keys) == Kept(replies=2, dead_letters=1)
    assert (await survey_store(pipe, keys)).backlog_messages == 0


async def test_gauges_are_unknown_during_an_outage_and_right_after_it(
    redis_binary: ServerBinary,
) -> None:
    """Neither a stale number nor a zero stands for what nobody can tell."""
    metrics, keys = StoreMetrics(), Keys("inturn", PARTITIONS)

    def backlog() -> float:
        value = metrics.registry.get_sample_value("inturn_backlog_messages")
        assert value is not None
        return value

    with RedisServer(redis_binary) as server:
        async with running_pipe(server.url) as pipe:
            await append_message(pipe, keys, "ana")
            task = asyncio.create_task(keep_surveying(Surveyor(pipe, keys), [metrics], 0.01))
            await eventually(lambda: backlog() == 1, "the first survey")
            assert metrics.registry.get_sample_value("inturn_partitions_without_owner") == 4
            server.kill()
            await eventually(lambda: math.isnan(backlog()), "the outage to be seen")
            server.start()
            await eventually(lambda: backlog() == 0, "the survey of the new, empty server")
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def pipe_commands(pipe: Pipe) -> list[str]:
    """The names of the commands that are sent from now on."""
    asked: list[str] = []
    call, call_at = pipe.call, pipe.call_at

    async def noting(*command: object) -> object:
        asked.append(str(command[0]))
        return await call(*command)

    async def noting_at(key: str, *command: object) -> object:
        asked.append(str(command[0]))
        return await call_at(key, *command)

    pipe.call = noting  # type: ignore[method-assign]
    if len(pipe.together(["{a}", "{b}"])) > 1:  # one server's call_at is its call
        pipe.call_at = noting_at  # type: ignore[method-assign]
    return asked
