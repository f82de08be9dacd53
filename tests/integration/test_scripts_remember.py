"""remember: what Redis is told of a message that was handled while it was away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from ingest.remember import RedisMemory
from ingest.spool.payload import Became, Outcome
from shared.connect import Pipe
from shared.errors import BrokerRefused
from shared.keys import Keys
from shared.model import EntryId, window_id
from shared.redis_binary import ServerBinary
from shared.wire import OutboxReply, decode_reply
from tests.support.partition_scripts import ANN, DEDUPE_MS, RETENTION_MS, SHOP, partition_scripts
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer

STANDS_FOR = EntryId(1_700_000_000_000, 900_000_001)
WINDOW = window_id(SHOP, ANN, STANDS_FOR)
REPLY = OutboxReply(
    window_id=WINDOW,
    instance=SHOP,
    user=ANN,
    texts=("hello",),
    provider=None,
    reply_to=None,
    message_ids=("A",),
)


def outcome(became: Became, reply: OutboxReply | None = None) -> Outcome:
    """Of the message A."""
    return Outcome(key=(SHOP, ANN, "A"), entry_id=STANDS_FOR, became=became, reply=reply)


@pytest.fixture(scope="module")
def server(redis_binary: ServerBinary) -> Iterator[RedisServer]:
    """A server of this module's own, that may be full."""
    with RedisServer(redis_binary, options={"maxmemory-policy": "noeviction"}) as running:
        yield running


@pytest.fixture
async def pipe(server: RedisServer) -> AsyncIterator[Pipe]:
    """A connection to it."""
    async with running_pipe(server.url) as running:
        yield running


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Any]:
    """To look at what is in it; room is made again at the end."""
    async with Redis.from_url(server.url, protocol=2) as connected:
        yield connected
        await connected.config_set("maxmemory", 0)


@pytest.fixture
def memory(pipe: Pipe, keys: Keys) -> RedisMemory:
    """What tells it."""
    return RedisMemory(pipe, keys, DEDUPE_MS, RETENTION_MS)


async def test_a_reply_that_is_refused_is_not_remembered_as_said(
    memory: RedisMemory, client: Any, keys: Keys
) -> None:
    """The outbox comes first: when that is refused, the next try puts the reply there."""
    p = keys.partition(0)
    await client.set(p.outbox, "in the way")
    with pytest.raises(BrokerRefused, match="WRONGTYPE"):
        await memory.remember(outcome(Became.ANSWERED, REPLY))
    await client.delete(p.outbox)
    assert await memory.remember(outcome(Became.ANSWERED, REPLY))
    assert await client.xlen(p.outbox) == 1


async def test_a_reply_is_remembered_over_the_end_of_a_generation(
    memory: RedisMemory, client: Any, keys: Keys
) -> None:
    """The call comes again after a lost answer: one reply, though it is a generation later."""
    answered, p = outcome(Became.ANSWERED, REPLY), keys.partition(0)
    assert await memory.remember(answered)
    both = p.both_seen(SHOP, ANN)
    (now,) = [key for key in both if await client.exists(key)]
    (before,) = set(both) - {now}
    await client.rename(now, before)
    assert not await memory.remember(answered)
    assert await client.xlen(p.outbox) == 1


@pytest.mark.parametrize("became", [Became.SILENT, Became.SENT])
async def test_a_remembered_message_is_a_duplicate(
    became: Became, memory: RedisMemory, client: Any, server: RedisServer, keys: Keys
) -> None:
    """The same message later is known by the id that stands for it; no stream holds anything."""
    assert await memory.remember(outcome(became))
    p = keys.partition(0)
    async with partition_scripts(server.url, p) as scripts:
        assert await scripts.append("A") == (1, STANDS_FOR)
    assert not await client.exists(p.stream(SHOP), p.streams, p.ready, p.outbox, p.bell)
    rows = [row for _, row in await client.xrange(p.journal)]
    whats = [b"answered", b"sent"] if became is Became.SENT else [b"silent"]
    assert [row[b"what"] for row in rows] == whats
    assert {row[b"window"] for row in rows} == {WINDOW.encode()}
    assert rows[0][b"ids"] == str(STANDS_FOR).encode()


async def test_an_unsent_reply_waits_in_the_outbox(
    memory: RedisMemory, client: Any, keys: Keys
) -> None:
    """It is there once, its sender is rung, and the journal names it."""
    assert await memory.remember(outcome(Became.ANSWERED, REPLY))
    assert not await memory.remember(outcome(Became.ANSWERED, REPLY))
    p = keys.partition(0)
    [(reply_id, fields)] = await client.xrange(p.outbox)
    assert decode_reply(fields[b"m"]) == REPLY
    assert await client.xlen(p.bell) == 1
    [(_, row)] = await client.xrange(p.journal)
    assert (row[b"what"], row[b"ref"]) == (b"answered", reply_id)


async def test_what_redis_has_as_an_entry_stays_one(
    memory: RedisMemory, client: Any, server: RedisServer, keys: Keys
) -> None:
    """A message that was appended after all is handled as usual, and adds no reply."""
    p = keys.partition(0)
    async with partition_scripts(server.url, p) as scripts:
        _, entry_id = await scripts.append("A")
    assert not await memory.remember(outcome(Became.ANSWERED, REPLY))
    assert not await client.exists(p.outbox)
    assert [found.decode() for found, _ in await client.xrange(p.stream(SHOP))] == [str(entry_id)]


async def test_memory_lasts_as_long_as_dedupe(memory: RedisMemory, client: Any, keys: Keys) -> None:
    """What is remembered expires with its generation, like every known id."""
    await memory.remember(outcome(Became.SILENT))
    p = keys.partition(0)
    left_ms = [await client.pttl(p.seen(generation, SHOP, ANN)) for generation in (0, 1)]
    assert max(left_ms) > DEDUPE_MS
    assert max(left_ms) <= 2 * DEDUPE_MS


async def test_a_full_redis_remembers(memory: RedisMemory, client: Any, keys: Keys) -> None:
    """At ``maxmemory`` the spool drains as far as nothing is to be appended."""
    await client.config_set("maxmemory", 1)
    assert await memory.remember(outcome(Became.ANSWERED, REPLY))
    assert not await memory.remember(outcome(Became.ANSWERED, REPLY))
    assert await client.xlen(keys.partition(0).outbox) == 1
