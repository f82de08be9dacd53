"""F17: clients that speak TCP by hand, by the thousand, and ingest answers all others meanwhile."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests.support.machine import watched_machine
from tests.support.redis_server import RedisServer
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

ANSWERED_WITHIN_S = 3.0
"""A deadline for the others' messages and probes; the goal is a tenth of it."""
ANSWER_TURNS = 8
"""Of ingest and of the client to connect, to ask and to answer, twice, and of Redis."""
NO_ANSWER_S = 30.0

TRICKLING = 300
NEVER_READ = 50
CHUNKS = 100_000
PIPELINED = 5000
MEMORY_MAX_KIB = 150 * 1024

pytestmark = pytest.mark.timeout(150)


@dataclass(slots=True)
class Others:
    """Clients that behave, beside those that do not."""

    ingest: ServiceProcess
    answered: int = 0
    slowest_s: float = 0.0
    failures: list[str] = field(default_factory=list)

    async def write(self) -> None:
        """A message and a probe, again and again, over new connections."""
        timeout = aiohttp.ClientTimeout(total=NO_ANSWER_S)
        while True:
            began_s = time.monotonic()
            try:
                async with aiohttp.ClientSession(timeout=timeout) as session:
                    await self._write_once(session)
                self.answered += 1
            except (aiohttp.ClientError, TimeoutError, AssertionError) as error:
                self.failures.append(repr(error))
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
            await asyncio.sleep(0.05)

    async def _write_once(self, session: aiohttp.ClientSession) -> None:
        said = {"instance": "shop", "user": "other", "text": "hi"}
        async with session.post(f"{self.ingest.url}/api/v1/messages", json=said) as answer:
            assert answer.status == 202
        async with session.get(f"{self.ingest.url}/healthz") as answer:
            assert answer.status == 200


@pytest.fixture
async def ingest(
    own_redis: RedisServer, prefix: str, tmp_path: Path
) -> AsyncIterator[ServiceProcess]:
    """A process of its own."""
    settings = {"redis_url": own_redis.url, "prefix": prefix}
    async with ServiceProcess("ingest", tmp_path, settings) as running:
        yield running


@asynccontextmanager
async def others_are_answered(ingest: ServiceProcess) -> AsyncIterator[Others]:
    """Inside, others write; at the end all of them were answered, in time, and nothing broke."""
    others = Others(ingest)
    with watched_machine() as machine:
        writing = asyncio.create_task(others.write(), name="others")
        try:
            await eventually(lambda: others.answered > 0, "others that are answered")
            before = others.answered
            yield others
            await eventually(lambda: others.answered > before + 3, "others that are still answered")
        finally:
            writing.cancel()
    print(f"{others.answered} others, the slowest took {others.slowest_s:.2f} s")  # noqa: T201
    assert others.failures == []
    assert others.slowest_s < machine.allows_s(ANSWERED_WITHIN_S, ANSWER_TURNS)
    assert ingest.is_running()
    assert '"level":"error"' not in ingest.log.read_text()


@asynccontextmanager
async def connected(
    ingest: ServiceProcess,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection by hand; at its end it is reset, whatever is still on its way."""
    reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def head(*headers: str) -> bytes:
    """Of a request that carries a message."""
    lines = ["POST /api/v1/messages HTTP/1.1", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode()


def message(user: str, text: str) -> bytes:
    """The body of one."""
    return json.dumps({"instance": "shop", "user": user, "text": text}).encode()


def memory_kib(ingest: ServiceProcess) -> int:
    """What the process holds in memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{ingest.pid}/status").read_text())
    return int(found[1]) if found else 0


async def status_of(reader: asyncio.StreamReader) -> int:
    """Of the one answer that comes."""
    line = await reader.readline()
    return int(line.split(b" ")[1])


@pytest.mark.short_fault
async def test_a_body_in_a_hundred_thousand_chunks(ingest: ServiceProcess) -> None:
    """One byte in each: it is a message like any other, and holds nobody up."""
    text = "x" * (CHUNKS - len(message("chunked", "")))
    body = message("chunked", text)
    assert len(body) == CHUNKS
    async with others_are_answered(ingest), connected(ingest) as (reader, writer):
        writer.write(head("Transfer-Encoding: chunked"))
        for at in range(0, CHUNKS, 1000):
            writer.write(b"".join(b"1\r\n%c\r\n" % byte for byte in body[at : at + 1000]))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        async with asyncio.timeout(60):
            assert await status_of(reader) == 202


@pytest.mark.short_fault
async def test_heads_and_bodies_that_trickle(ingest: ServiceProcess, chance: random.Random) -> None:
    """Three hundred clients send a byte now and then; who goes on is answered in the end."""
    body = message("slow", "hello")
    whole = head(f"Content-Length: {len(body)}") + body

    async def trickle(pieces: int) -> int:
        cuts = sorted(chance.sample(range(1, len(whole)), pieces))
        async with connected(ingest) as (reader, writer):
            for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
                writer.write(whole[start:end])
                await asyncio.sleep(chance.uniform(0.0, 0.4))
            return await status_of(reader)

    async with others_are_answered(ingest), asyncio.timeout(90):
        statuses = await asyncio.gather(*(trickle(pieces=20) for _ in range(TRICKLING)))
        assert statuses == [202] * TRICKLING


@pytest.mark.short_fault
async def test_thousands_of_pipelined_requests(ingest: ServiceProcess) -> None:
    """Five thousand on one connection are all answered, and others do not wait for them."""
    body = message("piped", "hello")
    whole = head(f"Content-Length: {len(body)}") + body
    async with (
        others_are_answered(ingest),
        connected(ingest) as (reader, writer),
        asyncio.timeout(90),
    ):
        writer.write(whole * PIPELINED)
        answered, tail = 0, b""
        while answered < PIPELINED:
            came = await reader.read(2**16)
            assert came, f"closed after {answered}"
            found = (tail + came).split(b"HTTP/1.1 202 ")
            answered, tail = answered + len(found) - 1, found[-1][-20:]


async def test_clients_that_never_read(ingest: ServiceProcess) -> None:
    """Who asks on and on and reads no answer costs neither memory nor anybody's time."""
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400
    async with others_are_answered(ingest) as others, AsyncExitStack() as clients:
        before = memory_kib(ingest)
        for _ in range(NEVER_READ):
            _, writer = await clients.enter_async_context(connected(ingest))
            writer.write(ask)
        answered = others.answered
        await eventually(lambda: others.answered > answered + 20, "others beside them", 60.0)
        assert memory_kib(ingest) - before < MEMORY_MAX_KIB


async def test_garbage_by_the_thousand(ingest: ServiceProcess, chance: random.Random) -> None:
    """TLS, other protocols, noise and connections that break off: refused, counted, no error."""
    starts = [b"\x16\x03\x01\x02\x00", b"SSH-2.0-x\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"{"]
    starts += [head("Content-Length: 100") + b"{", head("Transfer-Encoding: chunked") + b"5\r\n{"]

    async def rattle() -> None:
        async with connected(ingest) as (reader, writer):
            writer.write(chance.choice(starts) + chance.randbytes(chance.randrange(2000)))
            if chance.random() < 0.5:  # the others break off before there is an answer
                writer.write_eof()
                with suppress(ConnectionError):
                    await reader.read(-1)

    async with others_are_answered(ingest):
        for _ in range(40):
            await asyncio.gather(*(rattle() for _ in range(50)))
        refused = await ingest.metric("requests_refused_total", reason="malformed_http")
        assert refused > 100
