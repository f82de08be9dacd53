"""A text goes out through the Messages resource, and every answer of Twilio has its result."""

from __future__ import annotations

import base64
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import unused_port

from shared.instance_settings import InstanceSettings
from shared.providers import Address, SendRefused, SendResult, SendRetry, Sent
from shared.providers.twilio import Twilio
from shared.providers.twilio_send import MESSAGES_URL, TYPING_URL
from tests.support.fake_api import Asked, fake_api
from tests.support.twilio_payloads import ACCOUNT_SID, OWN_NUMBER, PHONE, SERVICE_SID, sid

TOKEN = "planted-token"
TEXT = "we are open & happy until six 🙂"
USER = f"whatsapp:+{PHONE}"
ADDRESS = Address(instance="desk", user=PHONE, reply_to=USER, message_ids=(sid(1), sid(2)))


def channel(base_url: str | None, **changes: Any) -> InstanceSettings:
    """The settings of an instance that can send."""
    own: dict[str, Any] = {
        "provider": "twilio",
        "base_url": base_url,
        "token": TOKEN,
        "account_sid": ACCOUNT_SID,
        "from": OWN_NUMBER,
    }
    kept = {name: value for name, value in (own | changes).items() if value is not None}
    return InstanceSettings(**kept)


def basic(user: str, password: str) -> str:
    """The header of Basic auth."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def send(settings: InstanceSettings, address: Address = ADDRESS) -> SendResult:
    """One ``send`` in a session of its own."""
    async with aiohttp.ClientSession() as session:
        return await Twilio().send(session, settings, address, TEXT)


async def asked_with(address: Address = ADDRESS, **changes: Any) -> Asked:
    """The one request that a text makes."""
    async with fake_api(201, {"sid": sid(900)}) as api:
        assert await send(channel(api.base_url, **changes), address) == Sent(id=sid(900))
    (asked,) = api.asked
    return asked


async def result_of(
    status: int, body: Any = None, headers: dict[str, str] | None = None
) -> SendResult:
    """What ``send`` makes of an API that answers so."""
    async with fake_api(status, body, headers) as api:
        result = await send(channel(api.base_url))
    if not isinstance(result, Sent):
        for secret in (PHONE, TEXT, TOKEN):
            assert secret not in result.error
    return result


def refused(code: Any) -> dict[str, Any]:
    """Twilio's error form, which repeats what was sent."""
    return {"code": code, "message": f"cannot send {TEXT} to {USER}", "status": 400}


async def test_a_text_is_sent_as_a_form() -> None:
    """Method, path, credentials and fields as the API has them; the sid comes back."""
    asked = await asked_with()
    assert (asked.method, asked.path) == (
        "POST",
        f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json",
    )
    assert asked.headers["authorization"] == basic(ACCOUNT_SID, TOKEN)
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.body == {"From": OWN_NUMBER, "To": USER, "Body": TEXT}


async def test_an_api_key_stands_in_the_token_with_its_secret() -> None:
    """It authenticates for the account in the path."""
    asked = await asked_with(token="SK0001:key-secret")
    assert asked.headers["authorization"] == basic("SK0001", "key-secret")
    assert ACCOUNT_SID in asked.path
    other = await asked_with(token="to:ken")
    assert other.headers["authorization"] == basic(ACCOUNT_SID, "to:ken")


@pytest.mark.parametrize(
    "changes, sender",
    [
        ({"from": "+4930555000001"}, {"From": OWN_NUMBER}),
        ({"from": "12345"}, {"From": "whatsapp:12345"}),
        (
            {"from": None, "messaging_service_sid": SERVICE_SID},
            {"MessagingServiceSid": SERVICE_SID},
        ),
        (
            {"messaging_service_sid": SERVICE_SID},
            {"From": OWN_NUMBER, "MessagingServiceSid": SERVICE_SID},
        ),
    ],
)
async def test_the_sender_is_a_number_or_a_service(
    changes: dict[str, Any], sender: dict[str, str]
) -> None:
    """A number is in the channel that the user writes in, however the settings have it."""
    assert (await asked_with(**changes)).body == {"To": USER, "Body": TEXT} | sender


async def test_by_sms_the_sender_has_no_channel() -> None:
    """The same number may be reached both ways."""
    address = Address(instance="desk", user=f"+{PHONE}", reply_to=f"+{PHONE}")
    asked = await asked_with(address)
    assert (asked.body["From"], asked.body["To"]) == ("+4930555000001", f"+{PHONE}")


async def test_an_account_that_no_instance_names_sends_as_itself() -> None:
    """Behind a connection that serves several numbers."""
    async with fake_api(201, {"sid": sid(900)}) as api:
        shared = channel(api.base_url, serves_several=True, **{"from": None})
        await send(shared.for_account("whatsapp:+4930555000002"))
    assert api.asked[0].body["From"] == "whatsapp:+4930555000002"


@pytest.mark.parametrize(
    "user, to", [(f"+{PHONE}", f"+{PHONE}"), (PHONE, USER), ("74011", "74011"), (USER, USER)]
)
async def test_without_an_address_the_user_is_it(user: str, to: str) -> None:
    """A message that came through the API has none. Bare digits are a user of WhatsApp."""
    address = Address(instance="desk", user=user, reply_to=None)
    assert (await asked_with(address)).body["To"] == to


@pytest.mark.parametrize("body", [None, [], {}, {"sid": None}, {"sid": {}}, "queued"])
async def test_taken_is_taken_whatever_the_body_says(body: Any) -> None:
    """It must not be sent again."""
    assert await result_of(201, body) == Sent(id=None)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_trouble_on_their_side_is_tried_again(status: int) -> None:
    """After as long as they ask for."""
    result = await result_of(status, refused(20429), {"Retry-After": "3"})
    assert isinstance(result, SendRetry)
    assert result.after_ms == 3000


@pytest.mark.parametrize("code", [20429, 21611, 63018])
async def test_a_full_queue_is_tried_again_whatever_its_status(code: int) -> None:
    """It will not be full for long."""
    assert isinstance(await result_of(400, refused(code)), SendRetry)


@pytest.mark.parametrize(
    "status, code, said",
    [
        (400, 63016, "outside the 24-hour window"),
        (400, 21610, "has unsubscribed (STOP)"),
        (400, 21211, "no valid number"),
        (400, 63007, "no sender of this channel"),
        (400, 63015, "has not joined the sandbox"),
        (401, 20003, "do not belong together"),
        (404, 20404, "no such account"),
        (400, 99999, "see its error list (99999)"),
        (400, None, "answered 400"),
        (400, "x", "answered 400"),
    ],
)
async def test_a_refusal_is_final_and_named(status: int, code: Any, said: str) -> None:
    """By Twilio's code, in words; its own repeat number and text."""
    result = await result_of(status, refused(code))
    assert isinstance(result, SendRefused)
    assert said in result.error


@pytest.mark.parametrize("body", [None, [], "<html>", {"code": []}])
async def test_a_refusal_without_a_code_is_final_too(body: Any) -> None:
    """Only its status is told."""
    assert await result_of(403, body) == SendRefused(error="the provider answered 403")


@pytest.mark.parametrize("name", ["token", "account_sid", "from"])
async def test_a_channel_needs_account_token_and_sender(name: str) -> None:
    """Without one of them nothing is tried."""
    field = {"from": "from_"}.get(name, name)
    settings = channel("http://127.0.0.1:9").model_copy(update={field: None})
    assert Twilio().has_channel(channel("http://127.0.0.1:9"))
    assert not Twilio().has_channel(settings)
    assert isinstance(await send(settings), SendRefused)


def test_the_api_is_twilios_where_none_is_set() -> None:
    """Two hosts, one for messages and one for typing."""
    assert (MESSAGES_URL, TYPING_URL) == ("https://api.twilio.com", "https://messaging.twilio.com")
    assert Twilio().has_channel(channel(None))


async def test_no_connection_is_tried_again() -> None:
    """With nobody listening the text waits."""
    assert isinstance(await send(channel(f"http://127.0.0.1:{unused_port()}")), SendRetry)


async def typing_calls(address: Address, status: int = 200) -> list[Asked]:
    """What ``show_typing`` asks of the API."""
    async with fake_api(status, {"success": True}) as api, aiohttp.ClientSession() as session:
        await Twilio().show_typing(session, channel(api.base_url), address)
    return api.asked


async def test_typing_is_shown_for_the_last_message() -> None:
    """Which marks it as read, too."""
    (asked,) = await typing_calls(ADDRESS)
    assert (asked.method, asked.path) == ("POST", "/v2/Indicators/Typing.json")
    assert asked.headers["authorization"] == basic(ACCOUNT_SID, TOKEN)
    assert asked.body == {"messageId": sid(2), "channel": "whatsapp"}


@pytest.mark.parametrize(
    "ids, found",
    [
        ((sid(1), "MM02:3"), "MM02"),
        ((sid(1), "hash:00"), sid(1)),
        (("hash:00", "api_1"), None),
        ((), None),
    ],
)
async def test_typing_needs_a_message_of_twilios(ids: tuple[str, ...], found: str | None) -> None:
    """A further file is known by its message; an id that we made is nobody's."""
    address = Address(instance="desk", user=PHONE, reply_to=USER, message_ids=ids)
    calls = await typing_calls(address)
    assert [asked.body["messageId"] for asked in calls] == ([found] if found else [])


@pytest.mark.parametrize("reply_to", [f"+{PHONE}", "messenger:1050", None])
async def test_typing_is_shown_on_whatsapp_alone(reply_to: str | None) -> None:
    """Twilio can on no other channel."""
    address = Address(instance="desk", user=PHONE, reply_to=reply_to, message_ids=(sid(1),))
    assert await typing_calls(address) == []


async def test_typing_that_fails_is_nobodys_business() -> None:
    """It is a courtesy."""
    assert len(await typing_calls(ADDRESS, status=400)) == 1
    async with aiohttp.ClientSession() as session:
        nobody = channel(f"http://127.0.0.1:{unused_port()}")
        await Twilio().show_typing(session, nobody, ADDRESS)


def test_a_long_text_is_split_to_twilios_limit() -> None:
    """1,600 units per message."""
    parts = Twilio().split("word " * 1000, ADDRESS)
    assert max(map(len, parts)) <= 1600
    assert " ".join(parts).split() == ["word"] * 1000
