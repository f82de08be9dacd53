"""Through a tunnel or a proxy, while no token is set: refused, and told what is missing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping

import pytest

from ingest.playground import Playground
from shared.settings import Settings
from tests.support.evolution_payloads import text_item, webhook
from tests.support.ingest_server import Answer, IngestServer, nothing_steered, serving

INSTANCES = {
    "desk": {"provider": "evolution", "secret": "planted-secret"},
    "bare": {"provider": "evolution"},
}
TRACES = (
    {"Host": "calm-otter.tunnel.example"},
    {"X-Forwarded-For": "203.0.113.9"},
    {"X-Forwarded-Proto": "https"},
    {"Forwarded": "for=203.0.113.9"},
    {"Cf-Connecting-Ip": "203.0.113.9"},
)
MESSAGE = {"instance": "shop", "user": "ana", "text": "hi"}
FACES = (
    ("POST", "/webhooks/evolution/bare", webhook(text_item(), instance="bare")),
    ("POST", "/webhooks/evolution/desk", webhook(text_item(), instance="desk")),
    ("POST", "/webhooks/evolution/nobody", webhook(text_item(), instance="nobody")),
    ("POST", "/webhooks/evolution", webhook(text_item(), instance="nobody")),
    ("POST", "/webhooks/evolution/bare", "no JSON"),
    ("POST", "/webhooks/standard/nobody", MESSAGE),
    ("POST", "/api/v1/messages", MESSAGE),
    ("GET", "/api/v1/conversations/shop/ana", None),
    ("GET", "/api/v1/playground", None),
    ("GET", "/playground", None),
    ("GET", "/queue/north", None),
    ("GET", "/queue/north/desk", None),
    ("GET", "/static/common/style.css", None),
    ("POST", "/session", {"token": "guess"}),
    ("GET", "/admin", None),
    ("GET", "/", None),
)


@pytest.fixture
async def server() -> AsyncIterator[IngestServer]:
    """Of a service that nobody has set a token for, with everything switched on."""
    settings = Settings(instances=INSTANCES)
    play = Playground(settings, nothing_steered, is_on=True)
    pages, data = play.open_routes(), play.routes()
    async with serving(settings, routes=data, open_routes=pages) as running:
        yield running


async def ask(
    server: IngestServer, face: tuple[str, str, object], headers: Mapping[str, str]
) -> Answer:
    """One request to a face."""
    method, path, body = face
    data = None if body is None else json.dumps(body).encode()
    return await server.request(method, path, headers=dict(headers), data=data)


@pytest.mark.parametrize("headers", TRACES, ids=lambda headers: next(iter(headers)))
async def test_every_face_names_the_token_that_is_missing(
    server: IngestServer, headers: dict[str, str]
) -> None:
    """Webhooks, pages and API alike, and nothing is kept; whoever opened the tunnel reads why."""
    answers = [await ask(server, face, headers) for face in FACES]

    for (method, path, _), answer in zip(FACES, answers, strict=True):
        assert answer.status == 401, f"{method} {path}"
        assert "INTURN_API_TOKEN" in answer.error, f"{method} {path}"
    assert len({answer.body for answer in answers}) == 1, "it tells which of them exists"
    assert server.appender.messages == []


async def test_a_proof_is_enough_for_a_webhook(server: IngestServer) -> None:
    """What its instance's secret vouches for comes in through the tunnel, token or not."""
    item = webhook(text_item(), instance="desk")
    headers = {"Host": "calm-otter.tunnel.example", "apikey": "planted-secret"}

    assert (await ask(server, ("POST", "/webhooks/evolution/desk", item), headers)).status == 200
    assert len(server.appender.messages) == 1


async def test_with_a_token_a_refusal_tells_nothing() -> None:
    """Nobody learns from outside how a published service is set up."""
    async with serving(Settings(instances=INSTANCES, api_token="s3cret")) as server:
        for headers in TRACES:
            for face in FACES:
                answer = await ask(server, face, headers)
                assert b"INTURN" not in answer.body, face
                if face[0] == "POST":
                    assert answer.error == "unauthorized: unauthorized", face


async def test_on_this_machine_a_wrong_proof_is_just_that(server: IngestServer) -> None:
    """Where nothing was forwarded, no token is missing."""
    face = ("POST", "/webhooks/evolution/desk", webhook(text_item(), instance="desk"))
    answer = await ask(server, face, {"apikey": "wrong"})
    assert (answer.status, answer.error) == (401, "unauthorized: unauthorized")
