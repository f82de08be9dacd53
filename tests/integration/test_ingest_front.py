"""What stands before every handler: who may pass, what is timed and logged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from unittest.mock import Mock
from urllib.parse import quote

import pytest
from aiohttp import web

from ingest.app import build_app
from ingest.body import BodyReader
from ingest.webhooks import Webhooks
from shared.metrics import IngestMetrics, InstanceLabels
from shared.providers.registry import PROVIDERS
from shared.settings import Settings
from tests.support.evolution_payloads import INSTANCE, text_item, webhook
from tests.support.ingest_server import IngestServer, MemoryAppender, serving

OPEN = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/session"}
PUBLIC = ("/webhooks/", "/queue/", "/static/")
API = "/api/v1/messages"
PATH = f"/webhooks/evolution/{quote(INSTANCE)}"
SETTINGS = Settings(api_token="s3cret")


async def answer(_request: web.Request) -> web.Response:
    """A handler of another module."""
    return web.Response()


EXTRA = (web.get("/extra", answer), web.post("/extra/{part}", answer))


@pytest.fixture
async def server() -> AsyncIterator[IngestServer]:
    """A server with a token, and with the routes of another module."""
    async with serving(SETTINGS, routes=EXTRA) as running:
        yield running


async def healthy() -> None:
    """Nothing is wrong."""


async def test_every_route_but_those_that_are_meant_to_be_open_needs_the_token(
    server: IngestServer,
) -> None:
    """Health, metrics, webhooks and pages are open; what is added later is not."""
    app = build_app(
        SETTINGS,
        appender=MemoryAppender(),
        health=healthy,
        metrics=IngestMetrics(InstanceLabels(1)),
        routes=EXTRA,
    )
    asked = 0
    for route in app.router.routes():
        assert route.resource is not None
        path = route.resource.canonical
        if path in OPEN or path.startswith(PUBLIC):
            continue
        asked += 1
        assert (await server.request(route.method, path)).status == 401, (route.method, path)
    assert asked > len(EXTRA)
    headers = {"Authorization": "Bearer s3cret"}
    assert (await server.request("GET", "/extra", headers=headers)).status == 200


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/nothing", 401),
        ("POST", "/", 401),
        ("DELETE", "/extra", 401),
        ("GET", "/api/v1/messages", 401),
        ("GET", "/healthz/more", 401),
        ("POST", "/healthz", 405),
        ("PUT", "/session", 405),
        ("GET", "/webhooks/evolution", 405),
        ("POST", "/webhooks/a/b/c/d", 404),
    ],
)
async def test_only_open_paths_say_that_nothing_is_there(
    server: IngestServer, method: str, path: str, status: int
) -> None:
    """Who has no token cannot find out what is served to others."""
    assert (await server.request(method, path)).status == status


async def test_an_unknown_expectation_is_refused_in_the_one_form(server: IngestServer) -> None:
    """Also what aiohttp refuses before any handler is JSON, and counted."""
    answer = await server.send_raw(
        b"POST /webhooks/evolution HTTP/1.1\r\nHost: localhost\r\nExpect: much\r\n"
        b"Content-Length: 0\r\n\r\n"
    )

    assert answer.startswith(b"HTTP/1.1 417 ")
    assert b'{"error":{"code":"expectation_failed"' in answer
    assert b'refused_total{reason="expectation_failed"} 1.0' in server.metrics.render()


@pytest.mark.parametrize(
    "target, more",
    [
        (PATH, ""),
        (f"{PATH}/", ""),
        (f"{PATH}?a=b", ""),
        (f"{PATH}/messages-upsert", ""),
        ("/webhooks/evolution/%46ront%20Desk", ""),
        (f"http://localhost{PATH}", ""),
        (PATH, "Expect: 100-continue\r\n"),
    ],
)
@pytest.mark.parametrize("key, status", [("right", 200), ("wrong", 401)])
async def test_a_webhook_is_the_same_however_its_path_is_written(
    target: str, more: str, key: str, status: int
) -> None:
    """A path known beforehand is found at once, others by aiohttp, and the rest is one."""
    settings = Settings(instances={INSTANCE: {"provider": "evolution", "secret": "right"}})
    body = json.dumps(webhook(text_item()))
    async with serving(settings) as server:
        head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\napikey: {key}\r\n{more}"
        request = f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(request.encode())
        answers = (await reader.read()).decode().removeprefix("HTTP/1.1 100 Continue\r\n\r\n")
        writer.close()

        assert answers.startswith(f"HTTP/1.1 {status} ")
        assert [message.instance for message in server.appender.messages] == (
            [INSTANCE] if status == 200 else []
        )
        refused = b'refused_total{reason="unauthorized"} 1.0' in server.metrics.render()
        assert refused == (status == 401)


async def test_a_shortcut_is_for_post_alone() -> None:
    """Another method is refused there as everywhere, and counts under no route."""
    settings = Settings(instances={INSTANCE: {"provider": "evolution", "secret": "right"}})
    async with serving(settings) as server:
        for method in ("GET", "PUT"):
            answer = await server.request(method, PATH)
            assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert b'request_seconds_count{route="unmatched"} 2.0' in server.metrics.render()


def test_an_instance_that_is_called_like_an_event_has_no_shortcut() -> None:
    """Its name in a path is read as the event, as it always was."""
    instances = {
        "messages-upsert": {"provider": "evolution"},
        "without-provider": {},
        "a b/c": {"provider": "evolution"},
    }
    webhooks = Webhooks(
        Settings(instances=instances),
        PROVIDERS,
        Mock(),
        BodyReader(),
        IngestMetrics(InstanceLabels(1)),
        lambda: 0,
    )
    assert list(webhooks.shortcuts()) == ["/webhooks/evolution/a%20b%2Fc"]


async def test_requests_are_timed_by_route() -> None:
    """By its template, for paths hold what callers wrote; what has no route is one."""
    settings = Settings(instances={"a": {"provider": "evolution"}})
    async with serving(settings) as server:
        for path in ("/webhooks/evolution/a", "/webhooks/evolution/b", "/nothing", "/nowhere", API):
            await server.post(path, {})
    text = server.metrics.render().decode()
    assert 'request_seconds_count{route="/api/v1/messages"} 1.0' in text
    assert 'request_seconds_count{route="/webhooks/{provider}/{instance}"} 2.0' in text
    assert 'request_seconds_count{route="unmatched"} 2.0' in text


async def test_requests_are_logged_at_debug(server: IngestServer) -> None:
    """Method, template, status, bytes and time; never the path."""
    await server.post("/webhooks/evolution/planted", {})

    [line] = [line for line in server.logs if line["event"] == "request.answered"]
    assert line["log_level"] == "debug"
    assert (line["method"], line["status"]) == ("POST", 400)
    assert line["route"] == "/webhooks/{provider}/{instance}"
    assert line["bytes"] > 0
    assert line["took_ms"] >= 0
    assert "planted" not in str(line)
