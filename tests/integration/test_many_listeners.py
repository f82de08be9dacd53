"""A thousand listeners on one process, and one of them that does not read."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
from redis.asyncio import Redis

from ingest.events import PATH
from ingest.frames import CONNECTED, QUEUE_UPDATE
from tests.support.streams import CLINIC, StreamServer, serving_streams
from tests.support.waiting import eventually

LISTENERS = 1000
CHANGES = 10
REQUEST = f"GET {PATH}?clinic={CLINIC} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()


class Plain:
    """A listener of few parts: frames as they come, over HTTP/1.0."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def next(self) -> dict[str, Any]:
        """The data of the next event."""
        async with asyncio.timeout(60):
            while True:
                line = await self.reader.readline()
                assert line, "the stream has ended"
                if line.startswith(b"data: "):
                    return json.loads(line.removeprefix(b"data: "))  # type: ignore[no-any-return]


async def connect(server: StreamServer, sock: socket.socket | None = None) -> Plain:
    """Connected; not read from yet."""
    address: Any = {"sock": sock} if sock else {"host": server.http.host, "port": server.http.port}
    reader, writer = await asyncio.open_connection(**address)
    writer.write(REQUEST)
    return Plain(reader, writer)


@asynccontextmanager
async def room_for(files: int) -> AsyncIterator[None]:
    """As many open files; skips where the system allows fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in (-1, resource.RLIM_INFINITY) and hard < files:
        pytest.skip(f"only {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, files), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def reads(client: Redis) -> int:
    """How often streams were read."""
    stats = await client.info("commandstats")
    return int(stats.get("cmdstat_xrange", {"calls": 0})["calls"])


@pytest.mark.timeout(120)
async def test_a_thousand_listeners_cost_one_read_for_a_change(
    redis_url: str, redis_client: Redis, prefix: str
) -> None:
    """Not one each: that is what INFO commandstats counts, and everybody hears everything."""
    async with (
        room_for(2 * LISTENERS + 200),
        serving_streams(redis_url, prefix) as server,
        server.listen() as first,
    ):
        await first.next(CONNECTED)
        crowd = [await connect(server) for _ in range(LISTENERS - 1)]
        for each in crowd:
            assert (await each.next())["type"] == CONNECTED
        assert len(server.hub) == LISTENERS
        before = await reads(redis_client)
        for number in range(1, CHANGES + 1):
            await server.tickets.enter(CLINIC, f"user {number}")
            assert (await first.next()).data["last"] == number
        assert await reads(redis_client) - before == CHANGES
        for each in crowd:
            heard = [(await each.next())["number"] for _ in range(CHANGES)]
            assert heard == list(range(1, CHANGES + 1))
            each.writer.close()


@pytest.mark.timeout(120)
async def test_who_does_not_read_is_cut_off_and_nobody_waits_for_it(
    redis_url: str, prefix: str
) -> None:
    """The others hear every change; the slow one's connection ends, and is counted."""
    async with serving_streams(redis_url, prefix) as server, server.listen() as reading:
        await reading.next(CONNECTED)
        with closing(socket.socket()) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect((server.http.host, server.http.port))
            sock.sendall(REQUEST)
            await eventually(lambda: len(server.hub) == 2, "the slow one's stream")
            number = 0
            while len(server.hub) == 2:
                assert number < 2000, "it was let have more than its share of memory"
                number += 1
                await server.tickets.enter(CLINIC, f"user {number}")
                assert (await reading.next(QUEUE_UPDATE)).data["number"] == number
        await server.tickets.enter(CLINIC, "one more")
        assert (await reading.next()).data["number"] == number + 1
        assert "inturn_ticket_listeners_dropped_total 1.0" in server.metrics.render().decode()
        assert "inturn_ticket_listeners 1.0" in server.metrics.render().decode()


async def test_who_goes_away_is_forgotten(redis_url: str, prefix: str) -> None:
    """With the last listener also the queue, and the connection that hears of changes."""
    async with serving_streams(redis_url, prefix) as server:
        plain = await connect(server)
        assert (await plain.next())["type"] == CONNECTED
        assert server.hub.has_listeners.is_set()
        plain.writer.close()
        await eventually(lambda: not server.hub.count_living(), "it to be gone")
        await eventually(lambda: not server.hub.has_listeners.is_set(), "nobody to listen")
        assert "inturn_ticket_listeners_dropped_total 0.0" in server.metrics.render().decode()
