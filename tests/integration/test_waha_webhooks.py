"""WAHA's webhooks through a running ingest: large photos, both events, several sessions."""

from __future__ import annotations

import base64
from typing import Any

import orjson

from shared.settings import Settings
from tests.support.ingest_server import Answer, IngestServer, serving
from tests.support.waha_payloads import event, media, payload, text, whole_id

SECRET = "planted-webhook-secret"
PATH = "/webhooks/waha/reception"


def settings(**instances: Any) -> Settings:
    """The connection ``reception``, and what else is behind it."""
    own: dict[str, Any] = {"provider": "waha", "secret": SECRET}
    reception = own | instances.pop("reception", {})
    return Settings(instances={"reception": reception, **instances})


async def post(server: IngestServer, body: Any) -> Answer:
    """An event that offers the secret."""
    return await server.post(
        PATH, orjson.dumps(body), headers={"Authorization": f"Bearer {SECRET}"}
    )


async def test_a_photo_of_ten_megabytes_does_not_cost_its_message() -> None:
    """Its bytes are cut out under the default settings, and everything else is kept."""
    data = base64.b64encode(bytes(10_000_000)).decode()
    photo = payload(hasMedia=True, media=media(url=None, data=data), body="see")
    async with serving(settings()) as server:
        assert (await post(server, event(photo))).status == 200
        (message,) = server.appender.messages
    assert message.text == "see"
    assert message.media is not None
    assert (message.media.omitted, message.media.data) == (True, None)
    assert message.media.size_bytes == 10_000_000


async def test_both_events_of_a_message_are_one_entry() -> None:
    """The second one is a duplicate of the first."""
    async with serving(settings()) as server:
        answers = [
            await post(server, event(payload(body="hi"), name))
            for name in ("message", "message.any")
        ]
    assert [answer.json["accepted"][0]["duplicate"] for answer in answers] == [False, True]
    assert len(server.appender.messages) == 1


async def test_sessions_behind_one_webhook_are_instances_of_their_own() -> None:
    """By their ``session``; a session that nobody has written down is the connection's own."""
    lab = {"provider": "waha", "connection": "reception", "session": "lab-2"}
    async with serving(settings(lab=lab)) as server:
        for number, session in enumerate(("lab-2", "reception", "unheard-of")):
            said = text("hi", id=whole_id(raw=f"3EB0{number}"))
            assert (await post(server, said | {"session": session})).status == 200
    kept = [message.instance for message in server.appender.messages]
    assert kept == ["lab", "reception", "reception"]


async def test_a_connection_may_take_every_session_as_an_instance() -> None:
    """Where it ``serves_several``, under the session's own name."""
    own = {"serves_several": True, "session": "reception"}
    async with serving(settings(reception=own)) as server:
        await post(server, text("hi") | {"session": "another"})
    (message,) = server.appender.messages
    assert (message.instance, message.connection) == ("another", "reception")
