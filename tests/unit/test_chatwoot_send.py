"""A text goes into its conversation; "typing" comes before it and is taken back."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from shared.instance_settings import InstanceSettings
from shared.providers import Address, SendRefused, SendResult, SendRetry, Sent, chatwoot_send
from shared.providers.chatwoot import Chatwoot
from tests.support.fake_api import FakeApi, fake_api

TOKEN = "planted-token"
TEXT = "we are open until six"
USER = "4915550001234"
ADDRESS = Address(instance="desk", user=USER, reply_to="31", message_ids=("1001",))
CONVERSATION = "/api/v1/accounts/7/conversations/31"
ON, OFF = ({"typing_status": status} for status in ("on", "off"))
MESSAGE = {"content": TEXT, "message_type": "outgoing", "private": False}


def channel(base_url: str, **changes: Any) -> InstanceSettings:
    """The settings of an instance that can send."""
    own = {"provider": "chatwoot", "base_url": base_url, "token": TOKEN, "account_id": "7"}
    return InstanceSettings(**(own | changes))


async def send(settings: InstanceSettings, address: Address = ADDRESS) -> SendResult:
    """One ``send`` in a session of its own."""
    async with aiohttp.ClientSession() as session:
        return await Chatwoot().send(session, settings, address, TEXT)


async def result_of(
    status: int, body: Any = None, headers: dict[str, str] | None = None
) -> SendResult:
    """What ``send`` makes of an API that answers so."""
    async with fake_api(status, body, headers) as api:
        result = await send(channel(api.base_url))
    if not isinstance(result, Sent):
        for secret in (USER, TEXT, TOKEN):
            assert secret not in result.error
    return result


def calls(api: FakeApi) -> list[tuple[str, str, Any]]:
    """Method, path and body of each call."""
    return [(asked.method, asked.path, asked.body) for asked in api.asked]


async def test_a_text_is_sent_into_its_conversation() -> None:
    """As a message to the contact; the id is what Chatwoot's own event will have."""
    async with fake_api(200, {"id": 2002, "content": TEXT, "message_type": 1}) as api:
        assert await send(channel(api.base_url)) == Sent(id="2002")
    assert calls(api) == [
        ("POST", f"{CONVERSATION}/toggle_typing_status", OFF),
        ("POST", f"{CONVERSATION}/messages", MESSAGE),
    ]
    for asked in api.asked:
        assert asked.headers["api_access_token"] == TOKEN
        assert asked.headers["content-type"] == "application/json"


async def test_ids_in_the_path_are_quoted() -> None:
    """Nothing in an id leads elsewhere."""
    async with fake_api(200, {}) as api:
        address = Address(instance="desk", user=USER, reply_to="../3?x")
        await send(channel(api.base_url, account_id="a/b"), address)
    path = "/api/v1/accounts/a%2Fb/conversations/..%2F3%3Fx/messages"
    assert api.asked[-1].path == path


@pytest.mark.parametrize("body", [None, [], {}, {"id": None}, {"id": {}}, "sent"])
async def test_taken_is_taken_whatever_the_body_says(body: Any) -> None:
    """It must not be sent again."""
    assert await result_of(200, body) == Sent(id=None)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_trouble_on_their_side_is_tried_again(status: int) -> None:
    """After as long as they ask for."""
    result = await result_of(status, {}, {"Retry-After": "7"})
    assert isinstance(result, SendRetry)
    assert result.after_ms == 7000


@pytest.mark.parametrize(
    "status, said",
    [
        (401, "the token is not valid"),
        (403, "may not write in this conversation"),
        (404, "no such account or conversation"),
        (422, "takes no such message"),
        (400, "answered 400"),
    ],
)
async def test_a_refusal_is_final_and_named(status: int, said: str) -> None:
    """In words, without the provider's own, which may repeat the text."""
    result = await result_of(status, {"error": f"cannot say {TEXT} to {USER}"})
    assert isinstance(result, SendRefused)
    assert said in result.error


async def test_without_a_conversation_nothing_can_be_sent() -> None:
    """A message that came without one cannot be answered."""
    async with fake_api(200, {}) as api:
        address = Address(instance="desk", user=USER, reply_to=None)
        assert isinstance(await send(channel(api.base_url), address), SendRefused)
        async with aiohttp.ClientSession() as session:
            await Chatwoot().show_typing(session, channel(api.base_url), address)
    assert api.asked == []


async def test_a_channel_needs_url_token_and_account() -> None:
    """Without one of them nothing is tried."""
    provider = Chatwoot()
    assert provider.has_channel(channel("http://127.0.0.1:9"))
    for name in ("base_url", "token", "account_id"):
        settings = channel("http://127.0.0.1:9").model_copy(update={name: None})
        assert not provider.has_channel(settings)
        assert isinstance(await send(settings), SendRefused)


async def test_typing_is_shown_and_what_is_answered_is_marked_as_seen_once() -> None:
    """Each further call only goes on typing."""
    async with fake_api(200, {}) as api, aiohttp.ClientSession() as session:
        again = Address(instance="desk", user=USER, reply_to="31", typing_shown=True)
        for address in (ADDRESS, again):
            await Chatwoot().show_typing(session, channel(api.base_url), address)
        await Chatwoot().hide_typing(session, channel(api.base_url), ADDRESS)
    assert calls(api) == [
        ("POST", f"{CONVERSATION}/toggle_typing_status", ON),
        ("POST", f"{CONVERSATION}/update_last_seen", {}),
        ("POST", f"{CONVERSATION}/toggle_typing_status", ON),
        ("POST", f"{CONVERSATION}/toggle_typing_status", OFF),
    ]


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_a_courtesy_that_fails_is_nobodys_business(status: int) -> None:
    """A bot's token may not mark anything as seen."""
    async with fake_api(status, {}) as api, aiohttp.ClientSession() as session:
        await Chatwoot().show_typing(session, channel(api.base_url), ADDRESS)
        await Chatwoot().hide_typing(session, channel(api.base_url), ADDRESS)
    async with aiohttp.ClientSession() as session:
        nobody = channel(f"http://127.0.0.1:{unused_port()}")
        await Chatwoot().show_typing(session, nobody, ADDRESS)


async def test_a_text_does_not_wait_for_typing_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chatwoot may be slow to take it back: the text goes out all the same."""
    monkeypatch.setattr(chatwoot_send, "_COURTESY_S", 0.05)
    release = asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        if request.path.endswith("typing_status"):
            await release.wait()
        return web.json_response({"id": 2003})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with asyncio.timeout(10), TestServer(app) as server:
        assert await send(channel(str(server.make_url("/")))) == Sent(id="2003")
        release.set()


async def test_a_token_that_fits_in_no_header_is_refused() -> None:
    """And told to nobody."""
    async with fake_api(200, {}) as api:
        result = await send(channel(api.base_url, token=f"{TOKEN}\r\nx: y"))
    assert isinstance(result, SendRefused)
    assert TOKEN not in result.error
    assert api.asked == []
