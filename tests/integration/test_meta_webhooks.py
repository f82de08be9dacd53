"""Meta's handshake and its large batches, at a running ingest."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest

from shared.settings import Settings
from tests.support.ingest_server import Answer, IngestServer, serving
from tests.support.meta_payloads import (
    NUMBER_ID,
    PAGE_ID,
    messenger,
    messenger_message,
    signature,
    whatsapp,
    whatsapp_change,
    whatsapp_text,
    whatsapp_value,
    whatsapp_webhook,
)

SECRET = "planted-app-secret"
VERIFY_TOKEN = "planted verify+token/é"
CHALLENGE = "1903827465"

META: dict[str, Any] = {"secret": SECRET, "verify_token": VERIFY_TOKEN}
INSTANCES: dict[str, Any] = {
    "main": META | {"provider": "whatsapp", "phone_number_id": NUMBER_ID},
    "second": {"connection": "main", "phone_number_id": "330011220055"},
    "page": META | {"provider": "messenger", "page_id": PAGE_ID},
    "untold": {"provider": "whatsapp", "secret": SECRET},
}


@pytest.fixture
async def server() -> AsyncIterator[IngestServer]:
    """An ingest with two numbers behind one connection, and a page."""
    async with serving(Settings(instances=INSTANCES)) as running:
        yield running


async def handshake(server: IngestServer, path: str = "whatsapp/main", **changes: Any) -> Answer:
    """What Meta asks when a callback URL is entered; a parameter that is None is left out."""
    asked = {
        "hub.mode": "subscribe",
        "hub.challenge": CHALLENGE,
        "hub.verify_token": VERIFY_TOKEN,
    } | {f"hub.{name}": value for name, value in changes.items()}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    return await server.request("GET", f"/webhooks/{path}?{query}")


async def post(server: IngestServer, path: str, payload: Any) -> Answer:
    """A signed webhook."""
    body = json.dumps(payload).encode()
    headers = {"X-Hub-Signature-256": signature(body, SECRET), "X-Forwarded-For": "192.0.2.1"}
    return await server.post(f"/webhooks/{path}", body, headers=headers)


@pytest.mark.parametrize("path", ["whatsapp/main", "messenger/page", "whatsapp/second"])
async def test_a_handshake_is_answered_with_its_challenge(server: IngestServer, path: str) -> None:
    """The raw challenge, as text that no browser takes for a page."""
    answer = await handshake(server, path, challenge="<b>1</b>")

    assert (answer.status, answer.body) == (200, b"<b>1</b>")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path, changes",
    [
        ("whatsapp/main", {"verify_token": "wrong"}),
        ("whatsapp/main", {"verify_token": VERIFY_TOKEN + " "}),
        ("whatsapp/main", {"verify_token": ""}),
        ("whatsapp/main", {"verify_token": None}),
        ("whatsapp/main", {"challenge": None}),
        ("whatsapp/main", {"mode": "unsubscribe"}),
        ("whatsapp/untold", {}),
        ("whatsapp/untold", {"verify_token": ""}),
        ("whatsapp/nobody", {}),
        ("whatsapp", {}),
    ],
)
async def test_another_handshake_is_forbidden_and_said(
    server: IngestServer, path: str, changes: dict[str, Any]
) -> None:
    """403 to who does not know the token, also where none is set; the log says so, without it."""
    answer = await handshake(server, path, **changes)

    assert (answer.status, answer.body) == (403, b"forbidden")
    (said,) = [line for line in server.logs if line["event"] == "webhook.handshake_refused"]
    assert said["instance"] in (None, "main", "untold")
    told = said["instance"] == "main"
    assert said.get("means") == (None if told else "verify_token is not set")
    for line in server.logs:
        assert "planted" not in str(line)
        assert "nobody" not in str(line)


async def test_a_parameter_given_twice_is_forbidden(server: IngestServer) -> None:
    """Another hop may have looked at the other one."""
    query = urlencode({"hub.mode": "subscribe", "hub.challenge": CHALLENGE})
    tokens = urlencode([("hub.verify_token", "wrong"), ("hub.verify_token", VERIFY_TOKEN)])

    answer = await server.request("GET", f"/webhooks/whatsapp/main?{query}&{tokens}")

    assert answer.status == 403


async def test_a_get_that_is_no_handshake_is_none(server: IngestServer) -> None:
    """A person who opens the address in a browser is told that it takes POST."""
    answer = await server.request("GET", "/webhooks/whatsapp/main")

    assert answer.status == 405


async def test_a_full_batch_is_kept(server: IngestServer) -> None:
    """A thousand updates in one request are a thousand messages; those of before count once."""
    texts = [whatsapp_text(f"message {at}", at) for at in range(1000)]
    halves = [whatsapp_change(whatsapp_value(*texts[at : at + 500])) for at in (0, 500)]

    first = await post(server, "whatsapp/main", whatsapp_webhook(*halves))
    again = await post(server, "whatsapp/main", whatsapp(*texts))

    assert (first.status, again.status) == (200, 200)
    assert [message.text for message in server.appender.messages] == [
        f"message {at}" for at in range(1000)
    ]
    assert all(one["duplicate"] for one in again.json["accepted"])


async def test_a_batch_of_albums_is_kept(server: IngestServer) -> None:
    """Every picture is a message, so a full batch may hold more of them than it has updates."""
    album = [
        {"type": "image", "payload": {"url": f"https://media.example.net/{at}"}} for at in range(3)
    ]
    items = [messenger_message(at, attachments=album) for at in range(1000)]

    answer = await post(server, "messenger/page", messenger(*items))

    assert answer.status == 200
    assert len(server.appender.messages) == 3000


async def test_each_account_of_a_batch_has_its_instance(server: IngestServer) -> None:
    """Numbers behind one connection are instances of their own; a third one's is not ours."""
    values = [
        whatsapp_value(whatsapp_text(name, serial), number_id=number_id)
        for serial, (name, number_id) in enumerate(
            [("a", NUMBER_ID), ("b", "330011220055"), ("c", "330011220066")]
        )
    ]

    answer = await post(server, "whatsapp/main", whatsapp_webhook(*map(whatsapp_change, values)))

    assert answer.json["ignored"] == {"other_account": 1}
    assert [(one.instance, one.text) for one in server.appender.messages] == [
        ("main", "a"),
        ("second", "b"),
    ]


async def test_a_path_without_an_instance_finds_it_by_the_account(server: IngestServer) -> None:
    """One callback URL for the whole app will do; an account that nobody named is 401."""
    known = whatsapp_value(whatsapp_text("b"), number_id="330011220055")
    unknown = whatsapp_value(whatsapp_text("c"), number_id="330011220066")

    answers = [
        await post(server, "whatsapp", whatsapp_webhook(whatsapp_change(value)))
        for value in (known, unknown)
    ]

    assert [answer.status for answer in answers] == [200, 401]
    assert [one.instance for one in server.appender.messages] == ["second"]
