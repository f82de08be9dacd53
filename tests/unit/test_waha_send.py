"""A text goes out through ``sendText``, with read marks and "typing" around it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import unused_port

from shared.instance_settings import InstanceSettings, Secret
from shared.providers import Address, SendRefused, SendResult, SendRetry, Sent
from shared.providers.waha import Waha
from tests.support.fake_api import Asked, fake_api
from tests.support.waha_payloads import event, own_payload, parse

TOKEN = "planted-token"
PHONE = "351910000001"
CHAT = f"{PHONE}@c.us"
TEXT = "we are open until six"
ADDRESS = Address(instance="reception", user=PHONE, reply_to=CHAT)


def channel(base_url: str, **changes: Any) -> InstanceSettings:
    """The settings of an instance that sends to ``base_url``."""
    fields: dict[str, Any] = {"provider": "waha", "base_url": base_url, "token": Secret(TOKEN)}
    return InstanceSettings(**(fields | changes))


async def send(settings: InstanceSettings, address: Address = ADDRESS) -> SendResult:
    """One ``send`` in a session of its own."""
    async with aiohttp.ClientSession() as session:
        return await Waha().send(session, settings, address, TEXT)


async def result_of(status: int, body: Any = None) -> SendResult:
    """What ``send`` makes of an API that answers so."""
    async with fake_api(status, body) as api:
        result = await send(channel(api.base_url))
    if not isinstance(result, Sent):
        for secret in (PHONE, TEXT, TOKEN):
            assert secret not in result.error
    return result


async def test_a_text_is_sent_to_the_chat() -> None:
    """Method, path, header and body as WAHA's API has them."""
    async with fake_api(201, {"id": f"true_{CHAT}_3EB0SENT"}) as api:
        assert await send(channel(api.base_url)) == Sent(id="3EB0SENT")
    (asked,) = api.asked
    assert (asked.method, asked.path) == ("POST", "/api/sendText")
    assert asked.headers["x-api-key"] == TOKEN
    assert asked.body == {"session": "reception", "chatId": CHAT, "text": TEXT}


async def test_the_session_may_have_a_name_of_its_own() -> None:
    """Where it is not the instance's."""
    async with fake_api(201) as api:
        await send(channel(f"{api.base_url}/waha/", session="default"))
    assert api.asked[0].path == "/waha/api/sendText"
    assert api.asked[0].body["session"] == "default"


@pytest.mark.parametrize(
    "reply_to, user, chat",
    [
        ("7060@lid", PHONE, "7060@lid"),
        ("1203@g.us", "1203@g.us/7060@lid", "1203@g.us"),
        (None, "1203@g.us/7060@lid", "1203@g.us"),
        (None, "7060@lid", "7060@lid"),
        (None, PHONE, CHAT),
        (PHONE, PHONE, CHAT),
    ],
)
async def test_every_sort_of_chat_has_its_address(
    reply_to: str | None, user: str, chat: str
) -> None:
    """A group is answered in the group; a bare number is a phone's chat."""
    async with fake_api(201) as api:
        await send(channel(api.base_url), Address(instance="r", user=user, reply_to=reply_to))
    assert api.asked[0].body["chatId"] == chat


@pytest.mark.parametrize(
    "body",
    [
        {"id": "true_7060@lid_3EB0AA"},
        {"id": "3EB0AA"},
        {
            "id": {
                "fromMe": True,
                "remote": CHAT,
                "id": "3EB0AA",
                "_serialized": f"true_{CHAT}_3EB0AA",
            }
        },
        {"id": {"id": "3EB0AA"}},
        {"key": {"remoteJid": f"{PHONE}@s.whatsapp.net", "fromMe": True, "id": "3EB0AA"}},
        {"_data": {"id": {"id": "3EB0AA"}}},
    ],
)
async def test_the_sent_id_is_the_echos(body: Any) -> None:
    """However the engine writes it, the echo carries the same id, also of a hidden phone."""
    result = await result_of(201, body)
    (echo,) = parse(event(own_payload(id=f"true_{CHAT}_3EB0AA"), "message.any")).echoes
    assert result == Sent(id=echo.message_id)


@pytest.mark.parametrize("body", [None, [], "x", {"id": 5.5e300}, {"id": None}, {"key": "x"}])
async def test_taken_is_taken_whatever_the_body_says(body: Any) -> None:
    """A 2xx that nobody understands must not send the text again."""
    assert isinstance(await result_of(201, body), Sent)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_trouble_on_their_side_is_tried_again(status: int) -> None:
    """WAHA's own, and WhatsApp's behind it."""
    assert isinstance(await result_of(status, {"chatId": CHAT}), SendRetry)


async def test_a_session_that_is_not_working_comes_back() -> None:
    """WAHA says 422 while a session starts or waits for its QR code."""
    body = {
        "error": "Session status is not as expected. Try again later or restart the session",
        "session": "reception",
        "status": "STARTING",
        "expected": ["WORKING"],
    }
    result = await result_of(422, body)
    assert isinstance(result, SendRetry)
    assert "session is not working" in result.error


@pytest.mark.parametrize(
    "status, words",
    [(400, "400"), (401, "API key"), (403, "API key"), (404, "no such session"), (422, "422")],
)
async def test_a_refusal_is_final_and_named(status: int, words: str) -> None:
    """Another 4xx says that this text will never be taken."""
    result = await result_of(status, {"message": f"{CHAT} {TEXT}"})
    assert isinstance(result, SendRefused)
    assert words in result.error


async def courtesies(name: str, address: Address = ADDRESS, status: int = 201) -> list[Asked]:
    """What ``show_typing`` or ``hide_typing`` asks of the API."""
    async with fake_api(status) as api, aiohttp.ClientSession() as session:
        await getattr(Waha(), name)(session, channel(api.base_url), address)
        return api.asked


async def test_what_is_answered_is_seen_then_typed_at() -> None:
    """In the order that WAHA asks for, with the body of each call."""
    asked = await courtesies("show_typing")
    assert [call.path for call in asked] == ["/api/sendSeen", "/api/startTyping"]
    for call in asked:
        assert call.headers["x-api-key"] == TOKEN
        assert call.body == {"session": "reception", "chatId": CHAT}
    assert Waha().typing_s > 0


async def test_it_is_seen_once() -> None:
    """Only "typing" fades and is repeated."""
    again = replace(ADDRESS, typing_shown=True)
    assert [call.path for call in await courtesies("show_typing", again)] == ["/api/startTyping"]


async def test_typing_is_taken_back() -> None:
    """Where no text follows."""
    (asked,) = await courtesies("hide_typing")
    assert (asked.path, asked.body["chatId"]) == ("/api/stopTyping", CHAT)


@pytest.mark.parametrize("name", ["show_typing", "hide_typing"])
async def test_a_failed_courtesy_is_nobodys_business(name: str) -> None:
    """A server that is not well raises nothing."""
    assert await courtesies(name, status=500)


async def test_without_a_channel_nothing_is_sent() -> None:
    """An instance needs both a base URL and a token to send."""
    provider, token = Waha(), Secret(TOKEN)
    assert provider.has_channel(channel("http://127.0.0.1:1"))
    assert not provider.has_channel(InstanceSettings(base_url="http://127.0.0.1:1"))
    assert not provider.has_channel(InstanceSettings(token=token))
    assert isinstance(await send(InstanceSettings(token=token)), SendRefused)
    assert isinstance(await send(channel(f"http://127.0.0.1:{unused_port()}")), SendRetry)
