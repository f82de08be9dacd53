"""A Redis at ``maxmemory``: nobody gets a number, and everybody who has one is served."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from shared.connect import Pipe
from shared.errors import BrokerRefused
from shared.tickets import Gap, Tickets
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer
from tests.support.ticketing import CLINIC, enter, staff, status, ticket_server


@pytest.fixture
async def client(full_server: RedisServer) -> AsyncIterator[Any]:
    """To fill the server, and to look at what is in it; it has memory again afterwards."""
    client = Redis.from_url(full_server.url, protocol=2)
    yield client
    await client.config_set("maxmemory", 0)
    await client.aclose()


@pytest.fixture
async def full_pipe(full_server: RedisServer) -> AsyncIterator[Pipe]:
    """A connection to that server."""
    async with running_pipe(full_server.url) as pipe:
        yield pipe


async def fill(client: Any) -> None:
    """From here on, Redis refuses whatever may need memory."""
    await client.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemoryError):
        await client.set("anything", "x")


async def contents(client: Any, prefix: str) -> dict[bytes, Any]:
    """Everything under the prefix."""
    return {key: await client.dump(key) async for key in client.scan_iter(f"{prefix}:*")}


async def test_a_new_number_is_refused_whole(full_pipe: Pipe, client: Any, prefix: str) -> None:
    """Nothing is written, so that the next number is the one that was not given."""
    tickets = Tickets(full_pipe, prefix)
    await tickets.enter(CLINIC, "ann")
    await fill(client)
    before = await contents(client, prefix)
    for key in (None, "key"):
        with pytest.raises(BrokerRefused) as caught:
            await tickets.enter(CLINIC, "bob", key)
        assert caught.value.code == "OOM"
    assert await contents(client, prefix) == before
    await client.config_set("maxmemory", 0)
    assert (await tickets.enter(CLINIC, "bob", "key")).number == 2


async def test_a_number_that_is_known_is_told(full_pipe: Pipe, client: Any, prefix: str) -> None:
    """Whoever waits may ask for it again, by the name or by the key."""
    tickets = Tickets(full_pipe, prefix)
    await tickets.enter(CLINIC, "ann", "k1")
    await fill(client)
    for key in (None, "k1", "k2"):
        entered = await tickets.enter(CLINIC, "ann", key)
        assert (entered.number, entered.already) == (1, True)


async def test_the_day_goes_on_and_ends(full_pipe: Pipe, client: Any, prefix: str) -> None:
    """Status, done, reset and days work, with and without keys, and events tell of them."""
    tickets = Tickets(full_pipe, prefix)
    for user in ("ann", "bob"):
        await tickets.enter(CLINIC, user)
    await fill(client)
    assert (await tickets.done(CLINIC)).status.serving == 1
    assert (await tickets.done(CLINIC, "key")).status.serving == 2
    assert (await tickets.done(CLINIC, "key")).status.serving == 2
    assert (await tickets.status(CLINIC, "bob")).waiting == 0
    assert (await tickets.reset(CLINIC, "key")).status.last == 0
    (day,) = await tickets.days(CLINIC)
    assert (day.last, day.served) == (2, 2)
    events = await tickets.events_since(CLINIC, "0-0")
    assert not isinstance(events, Gap)
    assert [event.change for event in events] == ["entered"] * 2 + ["done"] * 2 + ["reset"]


async def test_over_http_it_is_503_for_who_enters_alone(
    full_pipe: Pipe, client: Any, prefix: str
) -> None:
    """With ``Retry-After``; the staff's buttons work."""
    async with ticket_server(Tickets(full_pipe, prefix)) as server:
        await enter(server, "ann")
        await fill(client)
        refused = await enter(server, "bob")
        assert (refused.status, refused.error.partition(":")[0]) == (503, "unavailable")
        assert int(refused.headers["Retry-After"]) > 0
        assert (await staff(server, "done")).json["serving"] == 1
        assert (await status(server)).json["serving"] == 1
        assert (await staff(server, "reset")).json["last"] == 0
