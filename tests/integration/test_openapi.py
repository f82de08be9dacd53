"""``/openapi.json``: every path of ingest is in it, and what it says of answers is so."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields
from typing import Any

import jsonschema_rs
import pytest
from aiohttp import web

from ingest import events
from ingest.app import build_app
from ingest.console import stream as console_stream
from ingest.console.page import page_routes
from ingest.conversations import Conversations
from ingest.dead_letters import DeadLettersApi
from ingest.forget import ForgetApi
from ingest.instances import InstancesApi
from ingest.mutes import MutesApi
from ingest.openapi import openapi_document
from ingest.playground import Playground
from ingest.replies import RepliesApi
from ingest.report import ReportApi
from ingest.spool_api import SpoolApi
from shared.connect import Pipe
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.providers.registry import PROVIDERS
from shared.settings import Settings
from shared.tickets import Tickets
from shared.trace.whereabouts import DeadTrace, MessageTrace, ReplyTrace
from tests.support.ingest_server import IngestServer, MemoryAppender, nothing_steered, serving
from tests.support.journey import INSTANCE, USER, Journey
from tests.support.ticketing import CLINIC, TOKEN, enter, staff, status, ticket_api, ticket_server

DOCUMENT = openapi_document(PROVIDERS, has_token=True)
SCHEMAS = DOCUMENT["components"]["schemas"]
EXAMPLES = {
    "user": "u1",
    "instance": "shop",
    "message_id": "m1",
    "event": "messages-upsert",
    "clinic": "north",
    "folder": "common",
    "name": "style.css",
    "id": "3:1760000000000-0",
}


async def answer_nothing(_request: web.Request) -> web.Response:
    """For a route whose own handler needs more than a test of paths has."""
    return web.Response()


async def nothing_wrong() -> str | None:
    """For the probes."""
    return None


@pytest.fixture
def app(pipe: Pipe, keys: Keys) -> web.Application:
    """With all routes that the service has."""
    metrics = IngestMetrics(InstanceLabels(1))
    tickets = ticket_api(Tickets(pipe, keys.prefix))
    playground = Playground(Settings(), nothing_steered, is_on=True)
    return build_app(
        Settings(),
        appender=MemoryAppender(),
        health=nothing_wrong,
        metrics=metrics,
        routes=[
            *Conversations(pipe, keys, Settings()).routes(),
            *MutesApi(pipe, keys).routes(),
            *ForgetApi(pipe, keys).routes(),
            *ReportApi(pipe, Settings()).routes(),
            *InstancesApi(pipe, keys, Settings()).routes(),
            *DeadLettersApi(pipe, keys).routes(),
            *RepliesApi(pipe, keys, Settings()).routes(),
            *SpoolApi(Settings(), metrics).routes(),
            *tickets.staff_routes(),
            *playground.routes(),
            web.get(console_stream.PATH, answer_nothing),
        ],
        open_routes=[
            *tickets.open_routes(),
            *playground.open_routes(),
            *page_routes(),
            web.get(events.PATH, answer_nothing),
        ],
    )


@pytest.fixture
async def server(pipe: Pipe, keys: Keys) -> AsyncIterator[IngestServer]:
    """A server with the status API, and a token."""
    settings = Settings(api_token="s3cret")
    async with serving(settings, routes=Conversations(pipe, keys, settings).routes()) as running:
        yield running


def operations() -> Iterator[tuple[str, str]]:
    """Method and path of each operation in the document."""
    for path, item in DOCUMENT["paths"].items():
        for method in item:
            yield method.upper(), path


def as_pattern(path: str) -> re.Pattern[str]:
    """A path of the document, as a pattern of real ones."""
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))


def real_paths(route: web.AbstractRoute) -> list[str]:
    """Paths that the route serves, one for each provider where it serves several."""
    assert route.resource is not None
    canonical = route.resource.canonical
    filled = [canonical.replace("{provider}", name) for name in PROVIDERS]
    served = [path.format(**EXAMPLES) for path in dict.fromkeys(filled)]
    pattern = route.resource.get_info().get("pattern")
    return [path for path in served if pattern is None or pattern.fullmatch(path)]


async def test_every_route_is_in_the_document(app: web.Application) -> None:
    """Whatever ingest serves can be looked up."""
    documented = [(method, as_pattern(path)) for method, path in operations()]
    for route in app.router.routes():
        if route.method == "HEAD":
            continue
        paths = real_paths(route)
        assert paths, f"void: {route}"
        known = [
            path
            for path in paths
            if any(
                method == route.method and pattern.fullmatch(path) for method, pattern in documented
            )
        ]
        assert known, f"{route.method} {paths[0]} is not in the document"


async def test_every_operation_of_the_document_is_served(app: web.Application) -> None:
    """Nothing is promised that would be a 404 or 405."""
    routes = [(route.method, real_paths(route)) for route in app.router.routes()]
    for method, path in operations():
        pattern = as_pattern(path)
        assert any(
            method == served and any(map(pattern.fullmatch, paths)) for served, paths in routes
        ), f"{method} {path} has no route"


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-For": "203.0.113.9"}])
async def test_the_document_is_for_everybody(server: IngestServer, headers: dict[str, str]) -> None:
    """It is served without token, also through a proxy, and says that the API needs one."""
    answer = await server.request("GET", "/openapi.json", headers=headers)

    assert answer.status == 200
    assert answer.json == DOCUMENT
    assert answer.json["paths"]["/api/v1/messages"]["post"]["security"] == [{"token": []}]


async def test_without_a_token_none_is_asked_for() -> None:
    """A service for this machine alone says so."""
    async with serving() as server:
        document = (await server.request("GET", "/openapi.json")).json

    assert "securitySchemes" not in document["components"]
    assert "security" not in document["paths"]["/api/v1/messages"]["post"]


def validator(name: str) -> Any:
    """Of one of the document's schemas."""
    return jsonschema_rs.validator_for(
        {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    )


async def test_a_conversation_is_as_the_document_says(
    server: IngestServer, journey: Journey
) -> None:
    """With messages that wait, are answered and were given up, and with a single one."""
    await journey.say("m1", "m2", "m3", "m4")
    await journey.read()
    await journey.start(1)
    await journey.give_up("HTTP 400")
    await journey.start(1)
    await journey.answer("hello", "again")
    token = {"Authorization": "Bearer s3cret"}

    path = f"/api/v1/conversations/{INSTANCE}/{USER}"
    whole = await server.request("GET", path, headers=token)
    one = await server.request("GET", f"{path}/messages/m2", headers=token)
    none = await server.request("GET", f"{path}/messages/m9", headers=token)

    assert len(whole.json["messages"]) == 4
    validator("Conversation").validate(whole.json)
    assert one.json["reply"]["texts"] == ["hello", "again"]
    validator("Whereabouts").validate(one.json)
    validator("Error").validate(none.json)


async def test_a_queue_is_as_the_document_says(pipe: Pipe, prefix: str) -> None:
    """Empty, while somebody waits, is served and was served; and its days."""
    async with ticket_server(Tickets(pipe, prefix)) as server:
        told = [await status(server), await enter(server, "ann"), await status(server)]
        told += [await staff(server, "done") for _ in range(3)]
        told += [await status(server, f"clinic={CLINIC}&user={user}") for user in ("ann", "bob")]
        told.append(await staff(server, "reset"))
        days = await server.request("GET", f"/api/v1/queue/days?clinic={CLINIC}", headers=TOKEN)
    names = ["QueueStatus", "Entered", "QueueStatus", *["QueueChanged"] * 3]
    names += ["QueueStatus", "QueueStatus", "QueueChanged"]
    for name, answer in zip(names, told, strict=True):
        assert answer.status == 200
        validator(name).validate(answer.json)
    assert len(days.json["days"]) == 1
    validator("QueueDays").validate(days.json)


def test_a_trace_is_told_with_all_its_fields() -> None:
    """A field that a trace gets is in the document, too."""
    for trace, name in ((ReplyTrace, "Reply"), (DeadTrace, "DeadLetter")):
        assert {field.name for field in fields(trace)} == SCHEMAS[name]["properties"].keys()
    told = SCHEMAS["Whereabouts"]["properties"].keys() - {"instance", "user"}
    assert {field.name for field in fields(MessageTrace)} == told
