"""A text goes out through ``sendMessage``; "typing" and pressed buttons are seen to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import unused_port

from shared.instance_settings import InstanceSettings, Secret
from shared.providers import Address, SendRefused, SendResult, SendRetry, Sent
from shared.providers.splitting import utf16_units_of
from shared.providers.telegram import Telegram
from shared.providers.telegram_send import API
from tests.support.fake_api import Asked, fake_api

TOKEN = "1234567:AA-planted_token"
CHAT = 7_123_456_789_012
TEXT = "we are open until six"
ADDRESS = Address(instance="desk", user=str(CHAT), reply_to=str(CHAT))
TAKEN = {"ok": True, "result": {"message_id": 815, "chat": {"id": CHAT}}}


def channel(base_url: str, token: str = TOKEN) -> InstanceSettings:
    """The settings of an instance that sends to ``base_url``."""
    return InstanceSettings(provider="telegram", base_url=base_url, token=Secret(token))


async def send(settings: InstanceSettings, address: Address = ADDRESS) -> SendResult:
    """One ``send`` in a session of its own."""
    async with aiohttp.ClientSession() as session:
        return await Telegram().send(session, settings, address, TEXT)


async def result_of(
    status: int, body: Any = None, headers: dict[str, str] | None = None
) -> SendResult:
    """What ``send`` makes of an API that answers so."""
    async with fake_api(status, body, headers) as api:
        result = await send(channel(api.base_url))
    if not isinstance(result, Sent):
        for secret in (str(CHAT), TEXT, TOKEN):
            assert secret not in result.error
    return result


async def typing_calls(
    address: Address = ADDRESS, status: int = 200, body: Any = None
) -> Sequence[Asked]:
    """What ``show_typing`` asks of the API."""
    async with fake_api(status, body) as api, aiohttp.ClientSession() as session:
        await Telegram().show_typing(session, channel(api.base_url), address)
        return api.asked


def refused(code: int, description: str, **parameters: Any) -> dict[str, Any]:
    """The Bot API's error form."""
    found = {"ok": False, "error_code": code, "description": description}
    return found | ({"parameters": parameters} if parameters else {})


async def test_a_text_is_sent_to_the_chat() -> None:
    """Method, path, body as the Bot API has them; the id of the sent message comes back."""
    async with fake_api(200, TAKEN) as api:
        assert await send(channel(api.base_url)) == Sent(id="815")
    (asked,) = api.asked
    assert (asked.method, asked.path) == ("POST", f"/bot{TOKEN}/sendMessage")
    assert asked.headers["content-type"] == "application/json"
    assert asked.body == {"chat_id": CHAT, "text": TEXT}


@pytest.mark.parametrize(
    "reply_to, user, body",
    [
        ("-1002000111222", "-1002000111222/7", {"chat_id": -1002000111222}),
        ("-1002000111222:31", "x", {"chat_id": -1002000111222, "message_thread_id": 31}),
        (None, "-1002000111222/7", {"chat_id": -1002000111222}),
        (None, "77", {"chat_id": 77}),
        ("no-number", "x", {"chat_id": "no-number"}),
    ],
)
async def test_groups_and_topics_are_answered_where_they_are(
    reply_to: str | None, user: str, body: dict[str, Any]
) -> None:
    """A group is answered in the group, a topic in the topic."""
    async with fake_api(200, TAKEN) as api:
        await send(channel(api.base_url), Address(instance="d", user=user, reply_to=reply_to))
    assert api.asked[0].body == body | {"text": TEXT}


@pytest.mark.parametrize("body", [None, [], "x", {"result": 5}, {"result": {"message_id": None}}])
async def test_taken_is_taken_whatever_the_body_says(body: Any) -> None:
    """A 2xx that nobody understands must not send the text again."""
    assert await result_of(200, body) == Sent(id=None)


async def test_too_many_requests_wait_as_long_as_told() -> None:
    """The wait stands in the body, in seconds; it goes before the header."""
    body = refused(429, "Too Many Requests: retry after 31", retry_after=31)
    result = await result_of(429, body, {"Retry-After": "5"})
    assert isinstance(result, SendRetry)
    assert (result.after_ms, result.unsent) == (31_000, True)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_trouble_on_their_side_is_tried_again(status: int) -> None:
    """With the header's time, where the body has none."""
    result = await result_of(status, refused(status, "x"), {"Retry-After": "2"})
    assert isinstance(result, SendRetry)
    assert result.after_ms == 2000


@pytest.mark.parametrize(
    "status, description, words",
    [
        (403, "Forbidden: bot was blocked by the user", "the user has blocked the bot"),
        (403, "Forbidden: user is deactivated", "the user's account is deleted"),
        (403, "Forbidden: bot can't initiate conversation with a user", "has not started the bot"),
        (400, "Bad Request: chat not found", "no such chat"),
        (400, "Bad Request: group chat was upgraded to a supergroup chat", "supergroup"),
        (400, "Bad Request: message is too long", "too long"),
        (401, "Unauthorized", "token"),
        (404, "Not Found", "token"),
    ],
)
async def test_a_refusal_is_final_and_named(status: int, description: str, words: str) -> None:
    """Another 4xx is final; what is known of it stands in the error."""
    result = await result_of(status, refused(status, description))
    assert isinstance(result, SendRefused)
    assert words in result.error


async def test_an_unknown_refusal_repeats_nothing() -> None:
    """A description may hold what was sent."""
    result = await result_of(400, refused(400, f"Bad Request: can't parse {TEXT} for {CHAT}"))
    assert result == SendRefused(error="the provider answered 400")


async def test_not_ok_is_not_sent() -> None:
    """``ok`` decides, should a proxy have made the status 200."""
    result = await result_of(200, refused(400, "Bad Request: chat not found"))
    assert isinstance(result, SendRefused)


async def test_typing_is_a_chat_action() -> None:
    """It is shown for five seconds, to be repeated."""
    (asked,) = await typing_calls()
    assert (asked.method, asked.path) == ("POST", f"/bot{TOKEN}/sendChatAction")
    assert asked.body == {"chat_id": CHAT, "action": "typing"}
    assert Telegram().typing_s == 5


async def test_pressed_buttons_are_answered_once() -> None:
    """Each press is answered, or its button looks busy; not again with every "typing"."""
    pressed = Address(
        instance="d", user=str(CHAT), reply_to=None, message_ids=("81", "callback:5", "callback:6")
    )
    asked = await typing_calls(pressed)
    assert [call.path.rpartition("/")[2] for call in asked] == [
        "answerCallbackQuery",
        "answerCallbackQuery",
        "sendChatAction",
    ]
    assert [call.body for call in asked[:2]] == [
        {"callback_query_id": "5"},
        {"callback_query_id": "6"},
    ]
    again = Address(
        instance="d",
        user=str(CHAT),
        reply_to=None,
        message_ids=pressed.message_ids,
        typing_shown=True,
    )
    assert [call.path.rpartition("/")[2] for call in await typing_calls(again)] == [
        "sendChatAction"
    ]


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_a_failed_courtesy_is_nobodys_business(status: int) -> None:
    """An old button or a busy server raise nothing."""
    pressed = Address(instance="d", user="1", reply_to=None, message_ids=("callback:5",))
    assert len(await typing_calls(pressed, status, refused(status, "query is too old"))) == 2


async def test_a_token_is_only_ever_a_part_of_the_path() -> None:
    """Slashes and question marks in a token lead nowhere else."""
    async with fake_api(404, refused(404, "Not Found")) as api:
        result = await send(channel(api.base_url, "1:a/../b?x"))
    assert isinstance(result, SendRefused)
    assert api.asked[0].path == "/bot1:a%2F..%2Fb%3Fx/sendMessage"


async def test_without_a_token_nothing_is_sent() -> None:
    """A token is all that is needed; the base URL has a default."""
    provider = Telegram()
    assert provider.has_channel(InstanceSettings(token=Secret(TOKEN)))
    assert not provider.has_channel(InstanceSettings(base_url=API))
    assert not provider.has_channel(InstanceSettings(token=Secret("")))
    assert isinstance(await send(InstanceSettings()), SendRefused)
    assert API == "https://api.telegram.org"


async def test_no_connection_is_tried_again() -> None:
    """With nobody listening the text waits."""
    result = await send(channel(f"http://127.0.0.1:{unused_port()}"))
    assert isinstance(result, SendRetry)
    assert TOKEN not in result.error


def test_long_texts_are_cut_in_utf_16_units() -> None:
    """Telegram takes 4096 units; an emoji is two."""
    parts = Telegram().split("🙂" * 5000, ADDRESS)
    assert "".join(parts) == "🙂" * 5000
    assert max(map(utf16_units_of, parts)) <= 4096
