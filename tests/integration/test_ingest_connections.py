"""How many connections ingest holds, and which one goes when there is one too many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from ingest.auth import ApiGuard
from ingest.connections import MOST, Connections, LimitedRunner, connection_limit
from ingest.front import Front
from shared.metrics import IngestMetrics, InstanceLabels
from tests.support.waiting import eventually

LIMIT = 4
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Server:
    """Answers a POST with its body; one to ``/wait`` only after ``go``."""

    def __init__(self) -> None:
        self.metrics = IngestMetrics(InstanceLabels(1))
        self.connections = Connections(LIMIT, self.metrics)
        self.go = asyncio.Event()
        self.reading = self.waiting = 0
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def answer(self, request: web.Request) -> web.Response:
        """The handler of every path."""
        self.reading += 1
        body = await request.read()
        if request.path == "/wait":
            self.waiting += 1
            await self.go.wait()
        return web.Response(body=body)

    async def connect(self) -> Client:
        """A client that says nothing yet."""
        before = len(self.connections), self.dropped()
        client = await asyncio.open_connection("127.0.0.1", self.port)
        await eventually(
            lambda: (len(self.connections), self.dropped()) != before, "it to be taken note of"
        )
        self.writers.append(client[1])
        return client

    async def reads(self, count: int) -> None:
        """Wait until so many requests' heads have come."""
        await eventually(lambda: self.reading >= count, f"{count} requests")

    def dropped(self, kind: str = "") -> float:
        """Connections closed by us."""
        (family,) = self.metrics.connections_dropped_total.collect()
        counts = [sample for sample in family.samples if sample.name.endswith("_total")]
        return sum(one.value for one in counts if kind in ("", one.labels["kind"]))


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """A server on a free port."""
    server = Server()
    app = web.Application()
    app.router.add_post("/{path:.*}", server.answer)
    front = Front(ApiGuard(None), server.metrics, server.connections)
    runner = LimitedRunner(
        app, server.connections, front.before, access_log=None, shutdown_timeout=0.1
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = site.port
    try:
        yield server
    finally:
        server.go.set()
        for writer in server.writers:
            writer.close()
        await runner.cleanup()


async def ask(client: Client, path: str = "/") -> bytes:
    """One request on this connection: the status line, or nothing from one that was closed."""
    reader, writer = client
    writer.write(HEAD.replace(b"/ ", path.encode() + b" ", 1) + b"hello")
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Content-Length: 5" in head:
            assert await reader.readexactly(5) == b"hello"
        return head.split(b"\r\n")[0]
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


@pytest.mark.parametrize(
    "files, limit", [(1, 1), (300, 150), (1024, 512), (4096, 3072), (20_000, MOST)]
)
def test_files_are_left_for_others(files: int, limit: int) -> None:
    """At least half of few, a thousand of many; and some connections always."""
    assert connection_limit(files) == limit


async def test_the_one_that_was_silent_longest_goes() -> None:
    """A request makes a connection young again; a new client is served at once."""
    async with serving() as server:
        clients = [await server.connect() for _ in range(LIMIT)]
        assert await ask(clients[0]) == b"HTTP/1.1 200 OK"
        newest = await server.connect()
        assert await clients[1][0].read() == b""
        for client in (clients[0], *clients[2:], newest):
            assert await ask(client) == b"HTTP/1.1 200 OK"
        assert (server.dropped("idle"), server.dropped()) == (1, 1)
        assert len(server.connections) == LIMIT


async def test_used_ones_go_in_the_order_of_their_last_use() -> None:
    """Of connections that all had requests, too."""
    async with serving() as server:
        clients = [await server.connect() for _ in range(LIMIT)]
        for at in (2, 0, 3, 1):
            assert await ask(clients[at]) == b"HTTP/1.1 200 OK"
        await server.connect()
        assert await clients[2][0].read() == b""
        assert await ask(clients[0]) == b"HTTP/1.1 200 OK"


async def test_slow_bodies_go_in_their_turn() -> None:
    """A body that still comes was not accepted, so nothing is lost with its connection."""
    async with serving() as server:
        clients = [await server.connect() for _ in range(LIMIT)]
        for client in clients:
            client[1].write(HEAD + b"he")
        await eventually(lambda: server.reading == LIMIT, "requests in hand")
        newest = await server.connect()
        assert await clients[0][0].read() == b""
        assert await ask(newest) == b"HTTP/1.1 200 OK"
        assert (server.dropped("slow"), server.dropped()) == (1, 1)
        clients[1][1].write(b"llo")
        assert (await clients[1][0].readline()).startswith(b"HTTP/1.1 200")


async def test_slow_bodies_do_not_drive_out_whoever_is_served() -> None:
    """The bytes of a body do not count: a connection that gets answers is younger."""
    async with serving() as server:
        slow = [await server.connect() for _ in range(LIMIT - 1)]
        served = await server.connect()
        for number in range(2 * LIMIT):
            slow[-1][1].write(HEAD + b"h")
            await server.reads(2 * number + 1)
            assert await ask(served) == b"HTTP/1.1 200 OK"
            slow.append(await server.connect())
        assert await ask(served) == b"HTTP/1.1 200 OK"
        assert server.dropped("slow") > 0


async def test_a_whole_request_is_never_cut() -> None:
    """Where all are being answered, the new client is told to come again."""
    async with serving() as server:
        clients = [await server.connect() for _ in range(LIMIT)]
        asked = [asyncio.create_task(ask(client, "/wait")) for client in clients]
        await eventually(lambda: server.waiting == LIMIT, "requests in hand")
        reader, _writer = await server.connect()
        told = await reader.read()
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 1\r\n" in told
        assert server.dropped("new") == 1
        server.go.set()
        assert set(await asyncio.gather(*asked)) == {b"HTTP/1.1 200 OK"}


async def test_closed_ones_count_no_more() -> None:
    """Clients that come and go never fill the house."""
    async with serving() as server, aiohttp.ClientSession() as session:
        for _ in range(3 * LIMIT):
            _reader, writer = await server.connect()
            writer.close()
            await eventually(lambda: len(server.connections) == 0, "it to be gone")
        async with session.post(f"http://127.0.0.1:{server.port}/", data=b"hello") as answer:
            assert await answer.read() == b"hello"
        assert server.dropped() == 0
