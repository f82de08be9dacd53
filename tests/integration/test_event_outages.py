"""Streams while Redis is away, or what it says is lost: they stay, say so, and catch up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from ingest.frames import CONNECTED, HEARTBEAT, QUEUE_UPDATE, SNAPSHOT
from ingest.hub import FIRST
from shared.tickets import Tickets
from tests.support.clients import urls_of
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer
from tests.support.streams import CLINIC, SELDOM, StreamServer, Told, serving_streams
from tests.support.waiting import eventually


@pytest.fixture
async def own_client(durable_redis: RedisServer) -> AsyncIterator[Redis]:
    """To look into it."""
    client = Redis.from_url(durable_redis.url, protocol=2)
    yield client
    await client.aclose()


async def enter_silently(url: str, prefix: str, user: str) -> None:
    """A change that nobody hears of: its notice goes elsewhere."""
    async with running_pipe(url) as pipe:
        tickets = Tickets(pipe, prefix)
        tickets.channel = "elsewhere"
        await tickets.enter(CLINIC, user)


def stale(told: Told) -> bool:
    """What a heartbeat says."""
    assert told.kind == HEARTBEAT
    return bool(told.data["stale"])


async def subscribers(url: str, server: StreamServer) -> int:
    """How many hear of changes."""
    count = 0
    for each in urls_of(url):
        async with Redis.from_url(each, protocol=2) as client:
            count += (await client.pubsub_numsub(server.tickets.channel))[0][1]
    return count


async def test_a_lost_notice_is_made_good_by_looking_again(redis_url: str, prefix: str) -> None:
    """Every few seconds, while somebody listens."""
    times = replace(SELDOM, snapshot_s=0.05)
    async with serving_streams(redis_url, prefix, times) as server, server.listen() as stream:
        await stream.next(CONNECTED)
        await enter_silently(redis_url, prefix, "ann")
        assert (await stream.next(QUEUE_UPDATE)).data["number"] == 1


async def test_a_killed_subscription_begins_again_and_catches_up(
    durable_redis: RedisServer, own_client: Redis, prefix: str
) -> None:
    """What was said while nobody heard is read as soon as somebody hears again."""
    async with serving_streams(durable_redis.url, prefix) as server, server.listen() as stream:
        await stream.next(CONNECTED)

        async def hears() -> bool:
            return await subscribers(durable_redis.url, server) == 1

        await eventually(hears, "a subscription")
        for number in range(1, 4):
            await enter_silently(durable_redis.url, prefix, f"user {number}")
            assert await own_client.client_kill_filter(_type="pubsub") == 1
            assert (await stream.next()).data["number"] == number
        await server.tickets.enter(CLINIC, "dot")
        assert (await stream.next()).data["number"] == 4


async def test_nobody_listens_nothing_is_heard(redis_url: str, prefix: str) -> None:
    """No connection to hear of changes before the first listener, and none after the last."""
    async with serving_streams(redis_url, prefix) as server:
        assert await subscribers(redis_url, server) == 0
        async with server.listen() as stream:
            await stream.next(CONNECTED)

            async def hears() -> bool:
                return await subscribers(redis_url, server) == 1

            await eventually(hears, "a subscription")
        await eventually(lambda: not server.hub.count_living(), "it to be gone")
        await server.tickets.enter(CLINIC, "ann")

        async def is_deaf() -> bool:
            return await subscribers(redis_url, server) == 0

        await eventually(is_deaf, "the end of the subscription")


@pytest.mark.timeout(90)
async def test_a_stream_outlives_redis(durable_redis: RedisServer, prefix: str) -> None:
    """It says that it is stale, also to newcomers, and that it is not, and misses nothing."""
    times = replace(SELDOM, snapshot_s=0.2)
    async with (
        serving_streams(durable_redis.url, prefix, times) as server,
        server.listen() as stream,
    ):
        await stream.next(CONNECTED)
        await server.tickets.enter(CLINIC, "ann")
        assert (await stream.next(QUEUE_UPDATE)).data["last"] == 1
        await stream.next(SNAPSHOT)

        durable_redis.kill()
        assert stale(await stream.next())
        async with server.listen() as newcomer:
            connected = await newcomer.next()
            assert (connected.kind, connected.data["last"]) == (CONNECTED, 1)
            assert stale(await newcomer.next())
            async with server.listen("south") as unknown:
                told = await unknown.rest()
            assert [stale(each) for each in told] == [True], "ends, for browsers to come back"

            durable_redis.start()
            for each in (stream, newcomer):
                assert not stale(await each.next())
            await server.tickets.enter(CLINIC, "bob")
            for each in (stream, newcomer):
                assert (await each.next(QUEUE_UPDATE)).data["number"] == 2


@pytest.mark.timeout(90)
async def test_a_silent_redis_is_noticed(durable_redis: RedisServer, prefix: str) -> None:
    """Connections stay open and nothing answers: that is stale, too, and what came late is told."""
    times = replace(SELDOM, snapshot_s=0.2)
    async with (
        serving_streams(durable_redis.url, prefix, times) as server,
        server.listen() as stream,
    ):
        await stream.next(CONNECTED)
        durable_redis.pause()
        try:
            assert stale(await stream.next())
        finally:
            durable_redis.resume()
        assert not stale(await stream.next())
        await server.tickets.enter(CLINIC, "ann")
        assert (await stream.next(QUEUE_UPDATE)).data["number"] == 1


@pytest.mark.timeout(90)
async def test_lost_data_is_a_gap_that_is_told(
    own_client: Redis, durable_redis: RedisServer, prefix: str
) -> None:
    """Who listens sees the queue as it is now, and what follows; who comes back does, too."""
    async with serving_streams(durable_redis.url, prefix) as server, server.listen() as stream:
        await stream.next(CONNECTED)
        for user in ("ann", "bob"):
            await server.tickets.enter(CLINIC, user)
            await stream.next(QUEUE_UPDATE)
        await own_client.flushall()
        await server.tickets.enter(CLINIC, "cid")
        told = await stream.next()
        assert (told.kind, told.data["gap"], told.data["last"]) == (SNAPSHOT, True, 1)
        await server.tickets.enter(CLINIC, "dot")
        assert (await stream.next()).data["number"] == 2


async def test_damage_ends_nothing(redis_url: str, redis_client: Redis, prefix: str) -> None:
    """What somebody else wrote among a clinic's events makes its streams stale, and no others."""
    times = replace(SELDOM, retry_s=0.01)
    async with serving_streams(redis_url, prefix, times) as server, server.listen() as stream:
        await stream.next(CONNECTED)
        await server.tickets.enter(CLINIC, "ann")
        await stream.next(QUEUE_UPDATE)
        events = server.events_key(CLINIC)
        junk = await redis_client.xadd(events, {"what": "this"})
        server.hub.look_again()
        assert stale(await stream.next())
        async with server.listen("south") as other:
            await other.next(CONNECTED)
            await server.tickets.enter("south", "ann")
            assert (await other.next()).data["number"] == 1
        async with server.listen(since=FIRST) as back:
            assert [stale(told) for told in await back.rest()] == [True], "ends in good form"
        await redis_client.xdel(events, junk)
        assert not stale(await stream.next())
        await server.tickets.enter(CLINIC, "bob")
        assert (await stream.next()).data["number"] == 2
