"""``POST /webhooks/standard``: signed events, tokens in the URL, the handshake of CloudEvents."""

from __future__ import annotations

import base64
from typing import Any

from shared.settings import Settings
from tests.support.door_server import knock, serving_door, signed
from tests.support.doors import INSTANCE, SECRET
from tests.support.doors.standard import DOOR, message, text, webhook
from tests.support.ingest_server import serving

PATH = f"/webhooks/standard/{INSTANCE}"


async def test_a_webhook_that_comes_again_is_one_message() -> None:
    """Its sender repeats it with the same id until it is answered 2xx."""
    hook = webhook({"user": "guest-7", "text": "hello"})
    async with serving_door(DOOR) as server:
        answers = [await knock(server, DOOR, signed(DOOR, hook)) for _ in range(2)]
    assert [answer.json["accepted"][0]["duplicate"] for answer in answers] == [False, True]
    assert len(server.appender.messages) == 1


async def test_a_photo_of_ten_megabytes_does_not_cost_its_message() -> None:
    """Its bytes are cut out under the default settings, and everything else is kept."""
    photo = {"data": base64.b64encode(bytes(10_000_000)).decode(), "mime": "image/jpeg"}
    async with serving_door(DOOR) as server:
        answer = await knock(server, DOOR, signed(DOOR, webhook(message(1, media=photo))))
    assert answer.status == 200
    (kept,) = server.appender.messages
    assert kept.kind == "image"
    assert kept.media is not None
    assert (kept.media.data, kept.media.omitted) == (None, True)
    assert kept.media.size_bytes == 10_000_000


async def test_a_token_in_the_url_is_proof_and_in_no_log() -> None:
    """As senders of CloudEvents show it; a wrong one is 401."""
    hook = text("hello", 1)
    async with serving_door(DOOR) as server:
        good = await server.post(f"{PATH}?access_token={SECRET}", hook.body)
        wrong = await server.post(f"{PATH}?access_token=planted-wrong", hook.body)
    assert (good.status, wrong.status) == (200, 401)
    assert len(server.appender.messages) == 1
    assert not any("planted" in str(line) for line in server.logs)


async def test_the_handshake_is_answered_in_the_forms_of_its_specification() -> None:
    """OPTIONS with an origin is consent; without one, or elsewhere, it is no handshake."""
    origin = {"WebHook-Request-Origin": "chat.example.org", "WebHook-Request-Rate": "120"}
    async with serving_door(DOOR) as server:
        answer = await server.request("OPTIONS", PATH, headers=origin)
        assert answer.status == 200
        assert answer.headers["WebHook-Allowed-Origin"] == "chat.example.org"
        assert answer.headers["WebHook-Allowed-Rate"] == "*"
        assert answer.headers["Allow"] == "POST"
        assert (await server.request("OPTIONS", PATH)).status == 400
        elsewhere = await server.request("OPTIONS", "/webhooks/evolution/a", headers=origin)
        assert elsewhere.status == 405


async def test_an_event_in_another_format_is_unsupported() -> None:
    """415 before anything is stored, and only for who has proven himself."""
    hook = webhook({"user": "u", "text": "x"})
    as_xml = {"Content-Type": "application/cloudevents+xml", "Authorization": f"Bearer {SECRET}"}
    async with serving_door(DOOR) as server:
        assert (await server.post(PATH, hook.body, headers=as_xml)).status == 415
        as_xml["Authorization"] = "Bearer wrong"
        assert (await server.post(PATH, hook.body, headers=as_xml)).status == 401
        assert server.appender.messages == []


async def test_messages_may_name_their_instance() -> None:
    """One path for several: by the name that messages have for each, else under that name."""
    secret = {"secret": SECRET}
    instances: dict[str, Any] = {
        "hotel": {"provider": "standard", "serves_several": True, **secret},
        "bar": {"provider": "standard", "connection": "hotel", "instance_name": "rooftop"},
    }
    batch = {
        "messages": [
            message(number, text="hi", instance=name)
            for number, name in enumerate(("rooftop", "spa", "hotel"))
        ]
        + [message(9, text="hi")]
    }
    async with serving(Settings(instances=instances)) as server:
        headers = {"Authorization": f"Bearer {SECRET}"}
        for path in ("/webhooks/standard/hotel", "/webhooks/standard"):
            answer = await server.post(path, batch, headers=headers)
            assert answer.status == 200
    kept = [(one.instance, one.connection) for one in server.appender.messages]
    assert kept == [("bar", None), ("spa", "hotel"), ("hotel", None), ("hotel", None)]
