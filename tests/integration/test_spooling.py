"""The policy ``spool`` beside a real Redis that stops, dies, refuses and comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.away import State
from shared.connect import open_pipe
from shared.keys import Keys
from tests.support.redis_server import RedisServer
from tests.support.spooling import Spooling, message, spooling, stored


@pytest.fixture
async def made(durable_redis: RedisServer, keys: Keys, tmp_path: Path) -> AsyncIterator[Spooling]:
    """One process's policy on it."""
    async with spooling(durable_redis.url, keys, tmp_path / "spool") as running:
        yield running


async def test_messages_go_to_redis_while_it_is_there(
    made: Spooling, durable_redis: RedisServer, keys: Keys
) -> None:
    """The spool costs nothing and holds nothing in health."""
    assert not await made.send(1)
    assert [one.message_id for one in await stored(durable_redis.url, keys)] == ["ann-1"]
    assert made.spool.messages == 0


@pytest.mark.parametrize("fault", ["pause", "kill"])
async def test_an_outage_keeps_and_delays(
    fault: str, made: Spooling, durable_redis: RedisServer, keys: Keys
) -> None:
    """Every message is accepted while Redis is away, and is there once and in order after it."""
    assert not await made.send(1)
    getattr(durable_redis, fault)()
    for number in range(2, 30):
        assert await made.send(number)
    assert made.spool.messages == 28

    durable_redis.resume() if fault == "pause" else durable_redis.start()
    await made.online()

    assert not await made.send(30)
    found = [one.message_id for one in await stored(durable_redis.url, keys)]
    assert found == [f"ann-{number}" for number in range(1, 31)]
    assert made.metrics.render().count(b"inturn_spool_replayed_total 28.0") == 1


@pytest.mark.parametrize("refusal", ["OOM", "READONLY"])
async def test_a_redis_that_refuses_writes_is_an_outage(
    refusal: str, made: Spooling, durable_redis: RedisServer, keys: Keys
) -> None:
    """Out of memory, or demoted: accepted all the same, and drained when it takes writes again."""
    begin, end = {
        "OOM": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        "READONLY": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    }[refusal]
    async with open_pipe(durable_redis.url, timeout_ms=5000, name="operator") as operator:
        await operator.call(*begin)
        assert await made.send(1)
        assert await made.send(2)
        assert made.appender.state is State.SPOOLING
        await operator.call(*end)
    await made.online()
    assert [one.message_id for one in await stored(durable_redis.url, keys)] == ["ann-1", "ann-2"]


async def test_a_request_of_several_messages_is_kept_whole(
    made: Spooling, durable_redis: RedisServer, keys: Keys
) -> None:
    """All of a request's messages are kept, whatever of them Redis has already."""
    await made.send(1)
    durable_redis.kill()
    accepted = await made.appender.append([message(n) for n in range(5)])
    assert all(one.spooled and not one.duplicate for one in accepted)
    durable_redis.start()
    await made.online()
    found = [one.message_id for one in await stored(durable_redis.url, keys)]
    assert found == ["ann-1", "ann-0", "ann-2", "ann-3", "ann-4"]
