"""Forgetting works where Redis is full: it is not the reason to keep somebody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from ingest.forgets import Forgets
from shared.connect import Pipe
from shared.forget.wish import Wishes
from shared.keys import Keys
from shared.redis_binary import ServerBinary
from tests.support.everywhere import ANA, BEN, forget, leave_everywhere
from tests.support.journey import INSTANCE, begin_journey
from tests.support.pipes import running_pipe
from tests.support.raw_contents import raw_contents
from tests.support.redis_server import RedisServer


@pytest.fixture
def server(redis_binary: ServerBinary) -> Iterator[RedisServer]:
    """A server of the test's own, that never evicts."""
    with RedisServer(redis_binary, options={"maxmemory-policy": "noeviction"}) as running:
        yield running


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Redis]:
    """To fill it up, and to look."""
    async with Redis.from_url(server.url, protocol=2) as connected:
        yield connected


@pytest.fixture
async def pipe(server: RedisServer) -> AsyncIterator[Pipe]:
    """A connection to it."""
    async with running_pipe(server.url) as running:
        yield running


async def test_a_full_redis_forgets(pipe: Pipe, keys: Keys, client: Redis, tmp_path: Path) -> None:
    """The wish, what ingest is told, what a worker deletes, and its report; others keep theirs."""
    journey = await begin_journey(pipe, keys, ANA)
    await leave_everywhere(journey)
    await leave_everywhere(journey.of(BEN))
    await client.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemoryError):
        await client.set("more", "x")

    wishes = Wishes(pipe, keys)
    wish = await wishes.make(INSTANCE, ANA)
    assert await wishes.open() == {wish: (INSTANCE, ANA)}
    heeding = Forgets(pipe, keys, tmp_path, "machine:1:a")
    await heeding.heed()
    report = await forget(pipe, keys)
    await wishes.fulfil(wish, report.face())

    assert report.forgotten.messages == 2
    assert report.forgotten.tickets == 2
    told = await wishes.told(wish)
    assert told is not None
    assert told["forgotten"]["dead_letters"] == 1
    assert await wishes.open() == {}
    found = await raw_contents(client, keys.prefix)
    assert [key for key, raw in found.items() if f'"{ANA}"'.encode() in raw] == []
    dead = found[keys.partition(0).dead]
    assert f'"{BEN}"'.encode() in dead
