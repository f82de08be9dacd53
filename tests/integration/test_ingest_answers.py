"""An answer is the same whether ingest writes it or aiohttp, and to every kind of request."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from email.utils import parsedate_to_datetime
from unittest.mock import AsyncMock, Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from ingest.accepted import Accepted
from ingest.answers import json_answer
from shared.model import Message
from tests.support.ingest_server import IngestServer, serving

BODY = json.dumps({"instance": "sales", "user": "u1", "text": "hi", "message_id": "m1"}).encode()
HEAD = b"POST /api/v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
SAID = {"a": "é" * 100}


async def say(_request: web.Request) -> web.Response:
    """A handler of another module."""
    return json_answer(SAID)


async def say_with_header(_request: web.Request) -> web.Response:
    """The same with a header that makes aiohttp write it."""
    return json_answer(SAID, headers={"X-Other": "1"})


@pytest.fixture
async def server() -> AsyncIterator[IngestServer]:
    """A server without token, which serves this machine."""
    async with serving(
        routes=[web.get("/say", say), web.get("/other", say_with_header)]
    ) as running:
        yield running


def parts(answer: bytes) -> tuple[str, dict[str, str], bytes]:
    """Status line, headers and body; no header comes twice."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines)
    return status, headers, body


def get(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    """A request without a body."""
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode()


async def test_our_answer_has_what_aiohttps_has(server: IngestServer) -> None:
    """The same status, headers and body, but for the header that makes the difference."""
    status, headers, body = parts(await server.send_raw(get("/say")))
    other_status, others, other_body = parts(await server.send_raw(get("/other")))

    assert (status, body) == (other_status, other_body)
    assert (status, json.loads(body)) == ("HTTP/1.1 200 OK", SAID)
    dates = [parsedate_to_datetime(each.pop("Date")) for each in (headers, others)]
    assert abs((dates[0] - dates[1]).total_seconds()) < 60
    assert others.pop("X-Other") == "1"
    assert headers == others


@pytest.mark.parametrize(
    "request_bytes, connection",
    [
        (get("/say"), None),
        (get("/say", "Connection: close"), "close"),
        (get("/say", version="1.0"), None),
        (get("/say", "Connection: keep-alive", version="1.0"), "keep-alive"),
    ],
)
async def test_the_connection_ends_as_it_was_asked_to(
    server: IngestServer, request_bytes: bytes, connection: str | None
) -> None:
    """It is closed where the client wants that, or its version of HTTP."""
    closes = connection == "close" or b"HTTP/1.0\r\nHost: localhost\r\n\r\n" in request_bytes
    reader, writer = await asyncio.open_connection(server.host, server.port)
    for _ in range(1 if closes else 3):
        writer.write(request_bytes)
        head = await reader.readuntil(b"\r\n\r\n")
        _, headers, _ = parts(head)
        assert headers.get("Connection") == connection
        assert json.loads(await reader.readexactly(int(headers["Content-Length"]))) == SAID
    if closes:
        assert await reader.read() == b""
    writer.close()


async def test_requests_in_one_piece_are_answered_in_turn(server: IngestServer) -> None:
    """A client need not wait for an answer before it sends the next request."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write((HEAD % len(BODY) + BODY) * 3)
    duplicates = []
    for _ in range(3):
        status, headers, _ = parts(await reader.readuntil(b"\r\n\r\n"))
        assert status == "HTTP/1.1 202 Accepted"
        [one] = json.loads(await reader.readexactly(int(headers["Content-Length"])))["accepted"]
        duplicates.append(one["duplicate"])
    assert duplicates == [False, True, True]
    writer.close()


@pytest.mark.parametrize(
    "second, status",
    [
        (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200"),
        (HEAD % len(BODY) + BODY, b"202"),
        (
            HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") % len(BODY) + BODY,
            b"202",
        ),
        (HEAD.replace(b"Host", b"Forwarded: for=a\r\nHost") % len(BODY) + BODY, b"401"),
    ],
)
async def test_no_answer_overtakes_the_one_before_it(
    server: IngestServer, second: bytes, status: bytes
) -> None:
    """However each is written, and though nothing was waited for, as before a body's refusal."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(HEAD % 2 + b"no" + second)
    for which, expected in enumerate((b"400", status)):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.split()[1] == expected
        length = int(re.findall(rb"(?i)content-length: (\d+)", head)[0])
        if which == 0 or not second.startswith(b"HEAD"):
            await reader.readexactly(length)
    writer.close()


async def test_who_is_served_while_the_server_ends_gets_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was accepted before the end is said before the connection is closed."""
    kept, go = asyncio.Event(), asyncio.Event()
    async with serving() as server:
        append = server.appender.append

        async def append_late(messages: Sequence[Message]) -> list[Accepted]:
            kept.set()
            await go.wait()
            return await append(messages)

        monkeypatch.setattr(server.appender, "append", append_late)
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(HEAD % len(BODY) + BODY)
        await kept.wait()
        asyncio.get_running_loop().call_soon(go.set)

    assert (await reader.read()).startswith(b"HTTP/1.1 202 Accepted")
    writer.close()


async def test_a_head_request_has_no_body(server: IngestServer) -> None:
    """Its answer says how long the body of GET is, and a next answer begins after it."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(get("/say", method="HEAD") + get("/say"))
    _, headers, _ = parts(await reader.readuntil(b"\r\n\r\n"))
    status, again, _ = parts(await reader.readuntil(b"\r\n\r\n"))
    assert (status, headers["Content-Length"]) == ("HTTP/1.1 200 OK", again["Content-Length"])
    assert json.loads(await reader.readexactly(int(again["Content-Length"]))) == SAID
    writer.close()


async def test_who_does_not_read_is_waited_for() -> None:
    """The next request of such a client is not begun: its answers would fill the memory."""
    reading = asyncio.Event()
    transport = Mock(is_closing=lambda: False)
    writer = Mock(drain=reading.wait)
    request = make_mocked_request("GET", "/", writer=writer, transport=transport)
    answer = json_answer(SAID)

    preparing = asyncio.create_task(answer.prepare(request))
    await asyncio.sleep(0)
    assert transport.write.call_count == 1
    assert answer.prepared
    assert not preparing.done()
    reading.set()
    await preparing
    await answer.write_eof()
    assert transport.write.call_count == 1


@pytest.mark.parametrize("transport", [None, Mock(is_closing=lambda: True)])
async def test_who_has_gone_is_no_failure_of_ours(transport: Mock | None) -> None:
    """It is what aiohttp expects of a connection that was lost."""
    protocol = Mock(transport=transport)
    writer = Mock(drain=AsyncMock())
    request = make_mocked_request("GET", "/", writer=writer, protocol=protocol)

    with pytest.raises(ConnectionError):
        await json_answer(SAID).prepare(request)
