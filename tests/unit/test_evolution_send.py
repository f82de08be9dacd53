"""A text goes out through ``sendText``, and every answer of the server has its result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from shared.instance_settings import InstanceSettings, Secret
from shared.providers import Address, SendRefused, SendResult, SendRetry, Sent
from shared.providers import calling as module
from shared.providers.evolution import Evolution
from tests.support.fake_evolution import (
    ADDRESS,
    PHONE,
    TEXT,
    TOKEN,
    Respond,
    answering,
    channel,
    serving,
)


async def send_once(settings: InstanceSettings, address: Address = ADDRESS) -> SendResult:
    """One ``send`` in a session of its own."""
    async with aiohttp.ClientSession() as session:
        return await Evolution().send(session, settings, address, TEXT)


async def result_of(respond: Respond) -> SendResult:
    """What ``send`` makes of a server that answers so; the server was asked once."""
    async with serving(respond) as (fake, settings):
        result = await send_once(settings)
        assert len(fake.asked) == 1
    if not isinstance(result, Sent):
        for secret in (PHONE, TEXT, TOKEN):
            assert secret not in result.error
    return result


async def test_a_text_is_sent_to_the_full_jid() -> None:
    """The request is what Evolution's schema asks for, and its message id comes back."""
    taken = {"key": {"remoteJid": ADDRESS.reply_to, "fromMe": True, "id": "3EB0SENT"}}
    async with serving(answering(201, taken)) as (fake, settings):
        assert await send_once(settings) == Sent(id="3EB0SENT")
        assert fake.asked == [
            {
                "method": "POST",
                "path": "/message/sendText/Front%20Desk%2F2",
                "apikey": TOKEN,
                "body": {"number": ADDRESS.reply_to, "text": TEXT},
            }
        ]


async def test_a_base_url_may_have_a_path() -> None:
    """Evolution behind a proxy's path prefix is reached there."""
    async with serving(answering(201, {})) as (fake, settings):
        await send_once(channel(f"{settings.base_url}/wa%20api/"))
        assert fake.asked[0]["path"] == "/wa%20api/message/sendText/Front%20Desk%2F2"


async def test_without_a_jid_the_user_is_the_number() -> None:
    """A message that came without Evolution's jid is answered to the user's own name."""
    async with serving(answering(201, {})) as (fake, settings):
        await send_once(settings, Address(instance="a", user=PHONE, reply_to=None))
        assert fake.asked[0]["body"]["number"] == PHONE


@pytest.mark.parametrize("body", [None, [], {"key": 5}, {"key": {"id": None}}, "x" * 300_000])
async def test_taken_is_taken_whatever_the_body_says(body: Any) -> None:
    """A 2xx with a body nobody understands must not send the text again."""
    assert await result_of(answering(201, body)) == Sent(id=None)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_trouble_on_their_side_is_tried_again(status: int) -> None:
    """Too many requests and server errors pass; without ``Retry-After`` no time is named."""
    result = await result_of(answering(status, {"number": PHONE}))
    assert isinstance(result, SendRetry)
    assert result.after_ms is None


@pytest.mark.parametrize(
    "value, after_ms",
    [
        ("7", 7000),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("soon", None),
    ],
)
async def test_retry_after_is_obeyed_in_both_forms(value: str, after_ms: int | None) -> None:
    """``Retry-After`` as seconds or as a date is handed on in ms."""
    result = await result_of(answering(503, {}, **{"Retry-After": value}))
    assert isinstance(result, SendRetry)
    assert result.after_ms == after_ms


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_a_refusal_is_final(status: int) -> None:
    """Another 4xx says that this text will never be taken; the error repeats nothing of it."""
    body = {"response": {"message": [{"exists": False, "number": PHONE}]}}
    assert isinstance(await result_of(answering(status, body)), SendRefused)


async def test_a_phone_that_is_offline_is_tried_again() -> None:
    """Evolution says 400 for its own lost WhatsApp connection, which comes back."""
    body = {"status": 400, "response": {"message": ["Error: Connection Closed"]}}
    assert isinstance(await result_of(answering(400, body)), SendRetry)


async def test_redirects_are_not_followed() -> None:
    """The text and the key go to the configured address only."""
    result = await result_of(answering(307, {}, Location="/elsewhere"))
    assert isinstance(result, SendRetry)


async def test_a_body_without_end_is_cut() -> None:
    """A server that never stops talking costs no more than the cap."""

    async def respond() -> web.StreamResponse:
        async def forever() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65_536

        return web.Response(status=201, body=forever())

    async with asyncio.timeout(10):
        assert await result_of(respond) == Sent(id=None)


async def test_a_silent_server_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the time limit the send is given up for now; it is unknown whether it was taken."""
    monkeypatch.setattr(module, "TIMEOUT_S", 0.05)
    release = asyncio.Event()

    async def respond() -> web.StreamResponse:
        await release.wait()
        return web.Response()

    async with serving(respond) as (_, settings):
        result = await send_once(settings)
        release.set()
    assert isinstance(result, SendRetry)


async def test_no_connection_is_tried_again() -> None:
    """With nobody listening the text waits."""
    result = await send_once(channel(f"http://127.0.0.1:{unused_port()}"))
    assert isinstance(result, SendRetry)


async def test_a_closed_session_is_tried_again() -> None:
    """A send that shutdown overtook is left for the next owner."""
    session = aiohttp.ClientSession()
    await session.close()
    settings = channel(f"http://127.0.0.1:{unused_port()}")
    assert isinstance(await Evolution().send(session, settings, ADDRESS, TEXT), SendRetry)


@pytest.mark.parametrize("base_url", ["http://[", "http://", "http://:80"])
async def test_a_base_url_that_makes_no_request_is_refused(base_url: str) -> None:
    """A base URL that no request can be sent to is a result, not an exception."""
    settings = channel("http://127.0.0.1:1").model_copy(update={"base_url": base_url})
    assert isinstance(await send_once(settings), SendRefused)


async def test_a_token_that_fits_in_no_header_is_refused() -> None:
    """A token with a line break in it sends nothing and is not told to anybody."""
    async with serving(answering(201)) as (fake, settings):
        result = await send_once(settings.model_copy(update={"token": Secret(f"{TOKEN}\r\nx: y")}))
        assert isinstance(result, SendRefused)
        assert TOKEN not in result.error
        assert fake.asked == []


async def test_without_a_channel_nothing_is_sent() -> None:
    """An instance needs both a base URL and a token to send."""
    token = Secret(TOKEN)
    provider = Evolution()
    assert provider.has_channel(channel("http://127.0.0.1:1"))
    assert not provider.has_channel(InstanceSettings(base_url="http://127.0.0.1:1"))
    assert not provider.has_channel(InstanceSettings(token=token))
    assert not provider.has_channel(
        InstanceSettings(base_url="http://127.0.0.1:1", token=Secret(""))
    )
    assert isinstance(await send_once(InstanceSettings(token=token)), SendRefused)
