"""A text goes out through the ``messages`` of a page or of the token's account, in parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import unused_port

from shared.instance_settings import InstanceSettings, Secret
from shared.providers import Address, SendRefused, SendResult, SendRetry, Sent
from shared.providers.messenger import Messenger
from shared.providers.splitting import utf8_bytes_of, utf16_units_of
from tests.support.fake_api import Asked, fake_api
from tests.support.meta_payloads import PAGE_ID, PSID

TOKEN = "EAAplanted-token"
TEXT = "we are open until six"
ADDRESS = Address(instance="page", user=PSID, reply_to=PSID, message_ids=("m_1",))
INSTAGRAM = replace(ADDRESS, reply_to=f"instagram:{PSID}")
LONG = "Wörter, die niemand zählt. " * 200
TAKEN = {"recipient_id": PSID, "message_id": "m_SENT"}


def channel(base_url: str | None, page_id: str | None = PAGE_ID) -> InstanceSettings:
    """The settings of an instance that sends to ``base_url``."""
    return InstanceSettings(base_url=base_url, token=Secret(TOKEN), page_id=page_id)


async def send(settings: InstanceSettings, address: Address = ADDRESS) -> SendResult:
    """One ``send`` in a session of its own."""
    async with aiohttp.ClientSession() as session:
        return await Messenger().send(session, settings, address, TEXT)


async def result_of(status: int, body: Any = None) -> SendResult:
    """What ``send`` makes of an API that answers so."""
    async with fake_api(status, body) as api:
        result = await send(channel(api.base_url))
    if not isinstance(result, Sent):
        for secret in (PSID, TEXT, TOKEN):
            assert secret not in result.error
    return result


def error(code: int, subcode: int | None = None) -> dict[str, Any]:
    """The Graph API's error form, which names the user where it should not."""
    told = {"message": f"(#{code}) {PSID} {TEXT}", "code": code, "error_subcode": subcode}
    return {"error": told}


@pytest.mark.parametrize("address", [ADDRESS, INSTAGRAM, replace(ADDRESS, reply_to=None)])
@pytest.mark.parametrize("page_id, node", [(PAGE_ID, PAGE_ID), (None, "me")])
async def test_a_text_is_sent_to_the_user(address: Address, page_id: str | None, node: str) -> None:
    """Method, path, headers and body as the rules have them; the sent message's id comes back."""
    async with fake_api(200, TAKEN) as api:
        assert await send(channel(api.base_url, page_id), address) == Sent(id="m_SENT")
    assert api.asked == [
        Asked(
            method="POST",
            path=f"/{node}/messages",
            headers=api.asked[0].headers,
            body={
                "recipient": {"id": PSID},
                "messaging_type": "RESPONSE",
                "message": {"text": TEXT},
            },
        )
    ]
    assert api.asked[0].headers["authorization"] == f"Bearer {TOKEN}"


async def test_a_token_of_instagram_login_sends_as_its_own_account() -> None:
    """A page that is set beside it is the Messenger's: Instagram's host knows no pages."""
    async with fake_api(200, TAKEN) as api:
        own = channel(api.base_url).model_copy(update={"token": Secret("IGAAplanted")})
        assert await send(own, INSTAGRAM) == Sent(id="m_SENT")
    assert api.asked[0].path == "/me/messages"


@pytest.mark.parametrize(
    "is_shown, actions", [(False, ["mark_seen", "typing_on"]), (True, ["typing_on"])]
)
async def test_seen_is_marked_once_and_typing_shown_again(
    *, is_shown: bool, actions: list[str]
) -> None:
    """Two calls at first, one to go on."""
    address = replace(INSTAGRAM, typing_shown=is_shown)
    async with fake_api(200, {"recipient_id": PSID}) as api, aiohttp.ClientSession() as session:
        await Messenger().show_typing(session, channel(api.base_url), address)
    assert [asked.body for asked in api.asked] == [
        {"recipient": {"id": PSID}, "sender_action": action} for action in actions
    ]
    assert {asked.path for asked in api.asked} == {f"/{PAGE_ID}/messages"}


async def test_typing_is_taken_back() -> None:
    """Where no text follows."""
    async with fake_api(200, {}) as api, aiohttp.ClientSession() as session:
        await Messenger().hide_typing(session, channel(api.base_url), ADDRESS)
    assert [asked.body["sender_action"] for asked in api.asked] == ["typing_off"]


async def test_typing_is_a_courtesy() -> None:
    """Nobody there, no settings: nothing is raised."""
    nowhere = channel(f"http://127.0.0.1:{unused_port()}")
    async with aiohttp.ClientSession() as session:
        await Messenger().show_typing(session, nowhere, ADDRESS)
        await Messenger().hide_typing(session, InstanceSettings(), ADDRESS)


@pytest.mark.parametrize("subcode", [2018278, 2534022, 2018065])
async def test_the_closed_window_is_named(subcode: int) -> None:
    """Messenger and Instagram have numbers of their own for it."""
    result = await result_of(403, error(10, subcode))
    assert isinstance(result, SendRefused)
    assert "24-hour window" in result.error
    assert str(subcode) in result.error


@pytest.mark.parametrize(
    "code, subcode, words",
    [
        (10, None, "lacks the permission"),
        (100, 2018001, "no such user"),
        (190, 463, "token is expired"),
        (551, None, "not available"),
        (200, 2018028, "testers"),
    ],
)
async def test_a_refusal_is_told_in_words(code: int, subcode: int | None, words: str) -> None:
    """By Meta's codes, for its own message may name the user."""
    result = await result_of(400, error(code, subcode))
    assert isinstance(result, SendRefused)
    assert words in result.error


@pytest.mark.parametrize("status, code", [(400, 613), (403, 32), (400, 1200), (500, 1), (429, 0)])
async def test_trouble_that_passes_is_tried_again(status: int, code: int) -> None:
    """Rate limits and Meta's own troubles, also where the status says 400."""
    assert isinstance(await result_of(status, error(code)), SendRetry)


@pytest.mark.parametrize("body", [None, [], {}, {"message_id": []}])
async def test_taken_is_taken_whatever_the_body_says(body: Any) -> None:
    """A 2xx with a body nobody understands must not send the text again."""
    assert await result_of(200, body) == Sent(id=None)


async def test_a_token_is_all_it_needs() -> None:
    """It says for which page or account it is."""
    assert Messenger().has_channel(channel(None, page_id=None))
    assert not Messenger().has_channel(InstanceSettings(page_id=PAGE_ID))
    assert isinstance(await send(InstanceSettings(page_id=PAGE_ID)), SendRefused)


def test_a_long_text_is_cut_for_messenger() -> None:
    """At 2000 characters."""
    parts = Messenger().split(LONG, Address(instance="a", user=PSID, reply_to=PSID))
    assert max(map(utf16_units_of, parts)) <= 2000
    assert len(parts) == 3
    assert " ".join(parts).split() == LONG.split()


@pytest.mark.parametrize("reply_to", [f"instagram:{PSID}", None])
def test_a_long_text_is_cut_shorter_for_instagram(reply_to: str | None) -> None:
    """At 1000 bytes; so it is where nobody knows which of the two it goes to."""
    parts = Messenger().split(LONG, Address(instance="a", user=PSID, reply_to=reply_to))
    assert 500 < max(map(utf8_bytes_of, parts)) <= 1000
    assert " ".join(parts).split() == LONG.split()
