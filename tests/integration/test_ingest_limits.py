"""How large, slow, garbled or unauthorised a request may be."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ingest.body import BodyReader
from shared.errors import StartRefused
from shared.settings import MiB, Settings
from tests.support.ingest_server import IngestServer, serving

API = "/api/v1/messages"
HOOK = "/webhooks/evolution"
GOOD = {"instance": "sales", "user": "u1", "text": "hi"}
BODY = json.dumps(GOOD).encode()


@pytest.fixture
async def server() -> AsyncIterator[IngestServer]:
    """A server without token, which serves this machine."""
    async with serving() as running:
        yield running


@pytest.fixture
async def guarded() -> AsyncIterator[IngestServer]:
    """A server with a token."""
    async with serving(Settings(api_token="s3cret")) as running:
        yield running


def raw_post(path: str, *headers: str, body: bytes = BODY, version: str = "1.1") -> bytes:
    """A request as bytes, after whose answer the connection closes."""
    lines = [f"POST {path} HTTP/{version}", "Connection: close", *headers]
    if not any(line.lower().startswith(("content-length", "transfer-")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def status_of(answer: bytes) -> int:
    """The status of a raw answer."""
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("path, limit", [(API, 3 * MiB), (HOOK, 64 * MiB)])
async def test_a_body_over_the_limit_is_refused_by_its_length(
    server: IngestServer, path: str, limit: int
) -> None:
    """A declared length over the route's limit is 413 before a byte of it is read."""
    request = raw_post(path, "Host: localhost", f"Content-Length: {limit + 1}", body=b"{")

    answer = await server.send_raw(request)

    assert status_of(answer) == 413
    assert b"body_too_large" in answer
    assert server.worst_logged() == []


async def test_a_body_that_hides_its_length_is_refused_at_the_limit() -> None:
    """A chunked body is counted while it comes."""
    async with serving(Settings(body_max_bytes=1024)) as server:
        chunks = b"".join(b"100\r\n" + b" " * 256 + b"\r\n" for _ in range(5)) + b"0\r\n\r\n"
        request = raw_post(API, "Host: localhost", "Transfer-Encoding: chunked", body=chunks)

        assert status_of(await server.send_raw(request)) == 413
        assert server.appender.messages == []


async def test_a_limit_in_the_settings_holds_for_every_route() -> None:
    """``BODY_MAX_BYTES`` replaces the limits of all routes."""
    async with serving(Settings(body_max_bytes=1024)) as server:
        for path in (API, HOOK):
            assert (await server.post(path, b" " * 1025)).status == 413


async def test_a_slow_body_is_given_up() -> None:
    """A body that does not come in time is 408, and the connection is closed."""
    async with serving(bodies=BodyReader(grace_s=0.05)) as server:
        answer = await server.send_raw(
            raw_post(API, "Host: localhost", "Content-Length: 100", body=b"{")
        )

        assert status_of(answer) == 408
        assert b"body_too_slow" in answer


async def test_too_many_bodies_at_once_are_put_off() -> None:
    """Beyond the common bound of memory a body is 429; what was answered frees its part."""
    async with serving(bodies=BodyReader(bodies_max_bytes=2 * len(BODY))) as server:
        answer = await server.post(API, BODY + b" " * 2 * len(BODY))

        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) > 0
        for _ in range(3):
            assert (await server.post(API, BODY)).status == 202


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "identity, gzip"])
async def test_a_compressed_body_is_refused(server: IngestServer, encoding: str) -> None:
    """Content-Encoding is 415: a few bytes could inflate to gigabytes."""
    for path in (API, HOOK):
        answer = await server.post(
            path, gzip.compress(BODY), headers={"Content-Encoding": encoding}
        )

        assert answer.status == 415
        assert answer.error.startswith("unsupported_encoding")
    assert server.appender.messages == []


async def test_an_identity_encoding_is_none(server: IngestServer) -> None:
    """A client that says that it does not compress is served."""
    answer = await server.post(API, BODY, headers={"Content-Encoding": "identity"})

    assert answer.status == 202


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01 this is TLS",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nplanted 5511999990000\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nx: " + b"planted" * 2000 + b"\r\n\r\n",
        raw_post(API, "Host: localhost", "Content-Length: planted"),
    ],
)
async def test_what_is_no_http_is_refused_quietly(
    server: IngestServer, caplog: pytest.LogCaptureFixture, garbage: bytes
) -> None:
    """400, counted, and the log neither quotes it nor takes it for an error of ours."""
    answer = await server.send_raw(garbage)

    assert status_of(answer) == 400
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not any("planted" in str(line) for line in server.logs)
    assert b'refused_total{reason="malformed_http"} 1.0' in server.metrics.render()


async def test_a_cut_off_body_is_stored_nowhere(server: IngestServer) -> None:
    """Chunks that are garbled on their way are 400 and no error of ours."""
    request = raw_post(API, "Host: localhost", "Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n")

    assert status_of(await server.send_raw(request)) == 400
    assert server.appender.messages == []
    assert server.worst_logged() == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "s3cret"},
        {"Authorization": "Basic s3cret"},
        {"Authorization": "Bearer s3cret\u00e9"},
        [("Authorization", "Bearer s3cret"), ("Authorization", "Bearer s3cret")],
        [("Authorization", "Bearer wrong"), ("Authorization", "Bearer s3cret")],
    ],
)
async def test_a_wrong_token_is_refused(guarded: IngestServer, headers: Any) -> None:
    """With ``API_TOKEN`` set nobody is served without it, also on this machine."""
    for path in (API, "/api/v1/conversations/sales/u1", "/sessions", "/"):
        answer = await guarded.post(path, GOOD, headers=headers)

        assert answer.status == 401
        assert answer.error == "unauthorized: unauthorized"
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert guarded.appender.messages == []
    assert guarded.worst_logged() == []


@pytest.mark.parametrize("host", ["localhost", "bot.example.org"])
async def test_the_right_token_serves_from_everywhere(guarded: IngestServer, host: str) -> None:
    """The token is all that is asked for where one is set."""
    headers = {"Authorization": "Bearer s3cret", "Host": host, "X-Forwarded-For": "203.0.113.9"}

    assert (await guarded.post(API, GOOD, headers=headers)).status == 202


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8420", "127.0.0.1", "127.8.9.1:1", "[::1]:8420"]
)
async def test_without_a_token_local_names_are_served(server: IngestServer, host: str) -> None:
    """A loopback Host, in whatever form, is this machine."""
    assert (await server.post(API, GOOD, headers={"Host": host})).status == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "bot.example.org"},
        {"Host": "localhost.example.org"},
        {"Host": "192.0.2.1"},
        {"Host": "[::2]"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Host": "localhost"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"CF-Connecting-IP": "203.0.113.9"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[broken"},
    ],
)
async def test_without_a_token_others_are_refused(
    server: IngestServer, headers: dict[str, str]
) -> None:
    """A foreign Host, a trace of a proxy or a foreign page is 401, and nothing is stored."""
    answer = await server.post(API, GOOD, headers=headers)

    assert answer.status == 401
    assert server.appender.messages == []


@pytest.mark.parametrize("headers", [(), ("Host: localhost", "Host: localhost")])
async def test_without_a_token_there_is_exactly_one_host(
    server: IngestServer, headers: tuple[str, ...]
) -> None:
    """A request without Host, or with two, is not taken for a local one."""
    answer = await server.send_raw(raw_post(API, *headers, version="1.0"))

    assert status_of(answer) in (400, 401)
    assert server.appender.messages == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "bot.example.org"])  # noqa: S104
async def test_an_exposed_server_needs_a_token(host: str) -> None:
    """Listening beyond loopback without ``API_TOKEN`` is refused at start, by name."""
    with pytest.raises(StartRefused, match=r"INTURN_HOST.*INTURN_API_TOKEN"):
        async with serving(Settings(host=host)):
            pass

    async with serving(Settings(host=host, api_token="s3cret")):
        pass
