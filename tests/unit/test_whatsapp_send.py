"""A text goes out through a number's ``messages``, and Meta's errors are told in words."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import unused_port

from shared.instance_settings import InstanceSettings, Secret
from shared.providers import Address, SendRefused, SendResult, SendRetry, Sent
from shared.providers.meta_send import GRAPH, INSTAGRAM_GRAPH, base_of
from shared.providers.whatsapp import WhatsApp
from tests.support.fake_api import Asked, fake_api
from tests.support.meta_payloads import BSUID, NUMBER_ID, PHONE

TOKEN = "EAAplanted-token"
TEXT = "we are open until six"
ADDRESS = Address(
    instance="desk", user=PHONE, reply_to=PHONE, message_ids=("wamid.A==", "wamid.B==")
)
TAKEN = {
    "messaging_product": "whatsapp",
    "contacts": [{"input": PHONE, "wa_id": PHONE}],
    "messages": [{"id": "wamid.SENT=="}],
}


def channel(base_url: str | None, **changes: Any) -> InstanceSettings:
    """The settings of an instance that sends to ``base_url``."""
    own = {"token": Secret(TOKEN), "phone_number_id": NUMBER_ID} | changes
    return InstanceSettings(base_url=base_url, **own)


async def send(settings: InstanceSettings, address: Address = ADDRESS) -> SendResult:
    """One ``send`` in a session of its own."""
    async with aiohttp.ClientSession() as session:
        return await WhatsApp().send(session, settings, address, TEXT)


async def result_of(status: int, body: Any = None, **headers: str) -> SendResult:
    """What ``send`` makes of an API that answers so."""
    async with fake_api(status, body, headers) as api:
        result = await send(channel(api.base_url))
        assert len(api.asked) == 1
    if not isinstance(result, Sent):
        for secret in (PHONE, TEXT, TOKEN):
            assert secret not in result.error
    return result


async def asked_for(address: Address) -> Asked:
    """The request that carries a text there."""
    async with fake_api(200, TAKEN) as api:
        await send(channel(api.base_url), address)
    (asked,) = api.asked
    return asked


def error(code: Any, **members: Any) -> dict[str, Any]:
    """The Graph API's error form, which names the user where it should not."""
    told = {"message": f"(#{code}) {PHONE} {TEXT}", "type": "OAuthException", "code": code}
    return {"error": told | {"error_data": {"details": PHONE}, "fbtrace_id": "Ax"} | members}


async def test_a_text_is_sent_to_the_number() -> None:
    """Method, path, headers and body as the rules have them; the sent message's id comes back."""
    async with fake_api(200, TAKEN) as api:
        assert await send(channel(f"{api.base_url}/v23.0")) == Sent(id="wamid.SENT==")
    (asked,) = api.asked
    assert (asked.method, asked.path) == ("POST", f"/v23.0/{NUMBER_ID}/messages")
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["content-type"] == "application/json"
    assert asked.body == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": PHONE,
        "type": "text",
        "text": {"body": TEXT},
    }


async def test_a_user_without_a_number_is_a_recipient() -> None:
    """Ids of the business' own stand in a member of their own."""
    body = (await asked_for(Address(instance="desk", user=BSUID, reply_to=BSUID))).body
    assert (body["recipient"], body["recipient_type"], "to" in body) == (BSUID, "individual", False)


async def test_a_group_is_answered_as_a_group() -> None:
    """Not the author alone."""
    body = (await asked_for(Address(instance="desk", user=f"77-88/{PHONE}", reply_to="77-88"))).body
    assert (body["to"], body["recipient_type"]) == ("77-88", "group")


async def test_without_an_address_the_user_is_it() -> None:
    """A message that came through the API is answered to the user's own name."""
    assert (await asked_for(Address(instance="desk", user=PHONE, reply_to=None))).body[
        "to"
    ] == PHONE


async def test_read_and_typing_are_one_call() -> None:
    """By the id of the last message; the ones before it are read with it."""
    async with fake_api(200, {"success": True}) as api, aiohttp.ClientSession() as session:
        await WhatsApp().show_typing(session, channel(api.base_url), ADDRESS)
    (asked,) = api.asked
    assert (asked.method, asked.path) == ("POST", f"/{NUMBER_ID}/messages")
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.body == {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": "wamid.B==",
        "typing_indicator": {"type": "text"},
    }


@pytest.mark.parametrize(
    "message_ids, asked_ids",
    [((), []), (("item:00ff",), []), (("wamid.A==", "item:00ff"), ["wamid.A=="])],
)
async def test_an_id_of_our_own_is_not_marked(
    message_ids: tuple[str, ...], asked_ids: list[str]
) -> None:
    """WhatsApp does not know it."""
    address = Address(instance="desk", user=PHONE, reply_to=PHONE, message_ids=message_ids)
    async with fake_api(400, error(131009)) as api, aiohttp.ClientSession() as session:
        await WhatsApp().show_typing(session, channel(api.base_url), address)
    assert [asked.body["message_id"] for asked in api.asked] == asked_ids


async def test_typing_is_a_courtesy() -> None:
    """Nobody there, no settings, an error: nothing is raised."""
    nowhere = channel(f"http://127.0.0.1:{unused_port()}")
    async with aiohttp.ClientSession() as session:
        await WhatsApp().show_typing(session, nowhere, ADDRESS)
        await WhatsApp().show_typing(session, InstanceSettings(), ADDRESS)


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_the_closed_window_is_named(status: int) -> None:
    """After 24 hours only a template may be sent: the failed reply says so."""
    result = await result_of(status, error(131047))
    assert isinstance(result, SendRefused)
    assert "24-hour window" in result.error
    assert "131047" in result.error


@pytest.mark.parametrize(
    "status, code, words",
    [
        (401, 190, "token is expired"),
        (400, 131026, "cannot be delivered"),
        (400, 131030, "test number"),
        (403, 131042, "payment"),
        (400, 100, "parameter"),
        (400, 999999, "code 999999"),
        (400, "131047", "24-hour window"),
    ],
)
async def test_a_refusal_is_told_in_words(status: int, code: Any, words: str) -> None:
    """By Meta's code, for its own message may name the user."""
    result = await result_of(status, error(code))
    assert isinstance(result, SendRefused)
    assert words in result.error


@pytest.mark.parametrize(
    "body", [None, [], "x", {"error": 5}, {"error": {"code": []}}, error(None)]
)
async def test_a_refusal_without_a_code_is_one(body: Any) -> None:
    """Then the status is all there is to tell."""
    assert await result_of(400, body) == SendRefused(error="the provider answered 400")


@pytest.mark.parametrize(
    "status, body",
    [
        (429, None),
        (500, error(131000)),
        (503, None),
        (400, error(130429)),
        (400, error(131056)),
        (400, error(80007)),
        (403, error(4)),
        (400, error(2)),
        (400, error(5, is_transient=True)),
    ],
)
async def test_trouble_that_passes_is_tried_again(status: int, body: Any) -> None:
    """Rate limits and Meta's own troubles, also where the status says 400."""
    result = await result_of(status, body, **{"Retry-After": "7"})
    assert isinstance(result, SendRetry)
    assert result.after_ms == 7000


async def test_a_rate_limit_is_named() -> None:
    """In the log of the retries."""
    result = await result_of(400, error(131056))
    assert result == SendRetry(
        error="the provider answered 400: Meta's code 131056: "
        "too many messages to this user in a short time"
    )


@pytest.mark.parametrize(
    "body", [None, [], {"messages": {}}, {"messages": []}, {"messages": [5]}, {"messages": [{}]}]
)
async def test_taken_is_taken_whatever_the_body_says(body: Any) -> None:
    """A 2xx with a body nobody understands must not send the text again."""
    assert await result_of(200, body) == Sent(id=None)


async def test_redirects_are_not_followed() -> None:
    """The token goes to the configured host only."""
    assert isinstance(await result_of(302, None, Location="/elsewhere"), SendRetry)


async def test_no_connection_is_tried_again() -> None:
    """With nobody listening the text waits."""
    assert isinstance(await send(channel(f"http://127.0.0.1:{unused_port()}")), SendRetry)


@pytest.mark.parametrize("token", [f"{TOKEN}\r\nx: y", f"{TOKEN}\n"])
async def test_a_token_that_fits_in_no_header_is_refused(token: str) -> None:
    """And is told to nobody."""
    async with fake_api(200, TAKEN) as api:
        result = await send(channel(api.base_url, token=Secret(token)))
    assert isinstance(result, SendRefused)
    assert TOKEN not in result.error
    assert api.asked == []


@pytest.mark.parametrize(
    "changes", [{"token": None}, {"token": Secret("")}, {"phone_number_id": None}]
)
async def test_without_a_channel_nothing_is_sent(changes: dict[str, Any]) -> None:
    """A token and a number are needed; the address of Meta is known."""
    assert WhatsApp().has_channel(channel(None))
    lacking = channel("http://127.0.0.1:1", **changes)
    assert not WhatsApp().has_channel(lacking)
    assert isinstance(await send(lacking), SendRefused)


def test_metas_own_hosts_are_the_default() -> None:
    """Tokens of Instagram Login are good at Instagram's host only."""
    assert base_of(channel(None)) == GRAPH
    assert base_of(channel(None, token=Secret("IGAAplanted"))) == INSTAGRAM_GRAPH
    assert base_of(channel("http://127.0.0.1:1", token=Secret("IGAAx"))) == "http://127.0.0.1:1"
    assert GRAPH.startswith("https://graph.facebook.com/v")
