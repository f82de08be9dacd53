"""F2 at its points: kill -9 between append and answer, while spooling, while replaying."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.spool.replayer import BATCH_MESSAGES
from shared.keys import Keys
from shared.probe import Point
from tests.support.redis_server import RedisServer
from tests.support.spool_child import SpoolChild
from tests.support.spooling import spooling, stored

MANY = 3 * BATCH_MESSAGES


@pytest.fixture
def keys(prefix: str) -> Keys:
    """One partition: a user's order is that of its stream."""
    return Keys(prefix, 1)


async def inherited(durable_redis: RedisServer, keys: Keys, folder: Path) -> list[int]:
    """What is in Redis after another process has replayed what the dead one left."""
    async with spooling(durable_redis.url, keys, folder) as heir:
        await heir.online()
        assert heir.spool.backlog() == []
    return [one.received_at for one in await stored(durable_redis.url, keys)]


@pytest.mark.parametrize("passes", [1, 2, 20])
async def test_killed_between_write_and_sync(
    passes: int, durable_redis: RedisServer, keys: Keys, tmp_path: Path
) -> None:
    """What was answered is there once and in order; what was not may be, for it is sent again."""
    durable_redis.kill()
    with SpoolChild(durable_redis.url, keys.prefix, tmp_path, Point.SPOOL, passes) as child:
        number = 0
        while child.send(number):
            number += 1
        child.wait_killed()
    assert len(child.kept) == passes - 1
    durable_redis.start()

    found = await inherited(durable_redis, keys, tmp_path)

    assert found in (child.kept, [*child.kept, number])


async def test_killed_after_the_sync(
    durable_redis: RedisServer, keys: Keys, tmp_path: Path
) -> None:
    """What waits in the spool of a process that was killed in peace is all there, in order."""
    durable_redis.kill()
    with SpoolChild(durable_redis.url, keys.prefix, tmp_path, Point.REPLAY, 10**6) as child:
        for number in range(50):
            assert child.send(number)
        child.process.kill()
    durable_redis.start()

    assert await inherited(durable_redis, keys, tmp_path) == list(range(50))


@pytest.mark.parametrize("passes", [1, 2, 3])
async def test_killed_while_replaying(
    passes: int, durable_redis: RedisServer, keys: Keys, tmp_path: Path
) -> None:
    """A batch that Redis has and the cursor does not know is replayed again: one entry each."""
    durable_redis.kill()
    with SpoolChild(durable_redis.url, keys.prefix, tmp_path, Point.REPLAY, passes) as child:
        for number in range(MANY):
            assert child.send(number)
        durable_redis.start()
        child.wait_killed()
    assert len(await stored(durable_redis.url, keys)) >= passes * BATCH_MESSAGES, (
        "void: killed too early"
    )

    assert await inherited(durable_redis, keys, tmp_path) == list(range(MANY))


@pytest.mark.parametrize("passes", [1, 7])
async def test_killed_between_append_and_answer(
    passes: int, durable_redis: RedisServer, keys: Keys, tmp_path: Path
) -> None:
    """The sender misses its answer and sends again: the same entry."""
    with SpoolChild(durable_redis.url, keys.prefix, tmp_path, Point.APPEND, passes) as child:
        number = 0
        while child.send(number):
            number += 1
        child.wait_killed()
    before = [one.received_at for one in await stored(durable_redis.url, keys)]
    assert before == [*child.kept, number], "void: killed too early"

    async with spooling(durable_redis.url, keys, tmp_path) as heir:
        assert not await heir.send(number)

    assert [one.received_at for one in await stored(durable_redis.url, keys)] == before
