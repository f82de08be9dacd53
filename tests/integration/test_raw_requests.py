"""
Requests whose end another hop may see elsewhere, and clients that never come to an end.

A proxy and we must never disagree about where a request ends: what stands behind it would be a
request of its own, with the proxy's rights.
"""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from tests.support.ingest_server import IngestServer, serving

PATH = b"/api/v1/messages"


def body_of(user: str) -> bytes:
    """A message of this user."""
    return json.dumps({"instance": "shop", "user": user, "text": "hi"}).encode()


GOOD = body_of("asked")
CHUNKED = b"Transfer-Encoding: chunked"
END = b"0\r\n\r\n"
IN_A_CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)


def request(
    *headers: bytes, body: bytes = GOOD, length: bool = True, version: bytes = b"1.1"
) -> bytes:
    """A request of exactly these bytes, with the right ``Content-Length`` or none."""
    lines = [b"POST %s HTTP/%s" % (PATH, version), b"Host: localhost", *headers]
    if length:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", b""]) + body


HIDDEN = request(body=body_of("hidden"))
"""A second request, behind what one of two readers takes for the end of the first."""

AMBIGUOUS = {
    "both lengths": request(CHUNKED, body=END + HIDDEN),
    "both lengths, turned": request(CHUNKED, b"Content-Length: 5", body=END + HIDDEN, length=False),
    "two lengths": request(b"Content-Length: 0", body=HIDDEN),
    "the length twice": request(b"Content-Length: %d" % len(GOOD)),
    "a list of lengths": request(b"Content-Length: 3, 3", body=b"{} ", length=False),
    "a length with a sign": request(b"Content-Length: +3", body=b"{} ", length=False),
    "a negative length": request(b"Content-Length: -3", body=b"{} ", length=False),
    "a hexadecimal length": request(b"Content-Length: 0x3", body=b"{} ", length=False),
    "an endless length": request(b"Content-Length: 9" + b"9" * 30, body=b"{} ", length=False),
    "chunked twice": request(CHUNKED, CHUNKED, body=END + HIDDEN, length=False),
    "a space before the colon": request(
        b"Transfer-Encoding : chunked", body=END + HIDDEN, length=False
    ),
    "almost chunked": request(b"Transfer-Encoding: xchunked", body=END + HIDDEN, length=False),
    "chunked, but not last": request(
        b"Transfer-Encoding: chunked, identity", body=END + HIDDEN, length=False
    ),
    "chunked behind a tabulator": request(
        b"Transfer-Encoding:\x0bchunked", body=END + HIDDEN, length=False
    ),
    "chunked in HTTP/1.0": request(CHUNKED, body=END + HIDDEN, length=False, version=b"1.0"),
    "bare line feeds": request().replace(b"\r\n", b"\n"),
    "a bare line feed in a header": request(b"X-A: 1\n" + CHUNKED, body=END + HIDDEN),
    "a bare carriage return": request(b"X-A: 1\r" + CHUNKED, body=END + HIDDEN),
    "a folded header": request(b"X-A: 1\r\n folded"),
    "a NUL in a header": request(b"X-A: 1\x00"),
    "a space in a name": request(b"X A: 1"),
    "no colon": request(b"XA"),
    "bare line feeds around chunks": request(
        CHUNKED, body=IN_A_CHUNK.replace(b"\r\n", b"\n"), length=False
    ),
    "a negative chunk": request(CHUNKED, body=b"-1\r\n" + GOOD, length=False),
    "an endless chunk": request(CHUNKED, body=b"f" * 18 + b"\r\n" + GOOD, length=False),
    "a chunk that is too short": request(CHUNKED, body=b"2\r\n" + IN_A_CHUNK[4:], length=False),
    "a bare line feed behind a chunk's size": request(
        CHUNKED, body=IN_A_CHUNK.replace(b"\r\n", b";a\nb\r\n", 1), length=False
    ),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_a_request_with_two_ends_is_refused(name: str) -> None:
    """400 and the end of the connection: nothing behind it is read, nothing is stored."""
    async with serving() as server:
        answers = await answers_until_closed(server, AMBIGUOUS[name])
        assert answers == [400]
        assert server.appender.messages == []
        assert server.worst_logged() == []


CLEAR = {
    "chunks": request(CHUNKED, body=IN_A_CHUNK, length=False),
    "a chunk's extension": request(
        CHUNKED, body=IN_A_CHUNK.replace(b"\r\n", b";a=b\r\n", 1), length=False
    ),
    "a trailer": request(CHUNKED, body=IN_A_CHUNK[:-2] + b"X-T: 1\r\n\r\n", length=False),
    "an empty line before it": b"\r\n" + request(),
    "an absolute address": request().replace(PATH, b"http://elsewhere.example" + PATH),
}


@pytest.mark.parametrize("name", CLEAR)
async def test_what_is_merely_unusual_is_served(name: str) -> None:
    """Chunks, extensions, trailers: their end is where everybody sees it."""
    close = CLEAR[name].replace(b"Host: localhost", b"Host: localhost\r\nConnection: close")
    async with serving() as server:
        assert await answers_until_closed(server, close) == [202]
        assert [message.user for message in server.appender.messages] == ["asked"]


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    """A thousand at once on one connection: each is kept, and each answer names its own."""
    users = [f"user-{number}" for number in range(1000)]
    last = request(b"Connection: close", body=body_of("last"))
    async with serving() as server:
        pipelined = b"".join(request(body=body_of(user)) for user in users) + last
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(pipelined)
        async with asyncio.timeout(30):
            answered = await reader.read(-1)
        writer.close()
        assert statuses_in(answered) == [202] * 1001
        assert [message.user for message in server.appender.messages] == [*users, "last"]
        told = re.findall(rb'"message_id":"([^"]+)"', answered)
        assert told == [message.message_id.encode() for message in server.appender.messages]


async def test_a_bad_request_ends_what_is_pipelined_behind_it() -> None:
    """What is answered 202 before it is kept, and nothing else; those behind it are not read."""
    async with serving() as server:
        sent = [request(), request(CHUNKED, body=END), HIDDEN, HIDDEN]
        answers = await answers_until_closed(server, b"".join(sent))
        assert answers in ([202, 400], [400])
        kept = [message.user for message in server.appender.messages]
        assert kept == ["asked"] * answers.count(202)


@pytest.mark.parametrize("begun", [b"", b"P", request(body=b"")[:40], request(body=b"")[:-2]])
async def test_who_never_ends_a_head_is_given_up(
    begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection on which no whole request comes is closed by itself."""
    monkeypatch.setattr("ingest.app.IDLE_S", 0.2)
    async with serving() as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(begun)
        async with asyncio.timeout(20):
            await reader.read(-1)
        writer.close()
        assert server.appender.messages == []
        assert server.worst_logged() == []


async def answers_until_closed(server: IngestServer, sent: bytes) -> list[int]:
    """The statuses of all answers; the server closes the connection."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(sent)
    async with asyncio.timeout(20):
        answered = await reader.read(-1)
    writer.close()
    return statuses_in(answered)


def statuses_in(answered: bytes) -> list[int]:
    """Of each answer in these bytes."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answered)]
