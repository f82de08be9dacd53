"""A text goes out as a signed event, in the project's own contract."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDict, MultiDict

from shared.instance_settings import InstanceSettings, Secret
from shared.providers import Address, SendRefused, SendResult, SendRetry, Sent, WebhookRequest
from shared.providers.standard import Standard

TOKEN = "whsec_" + base64.b64encode(b"planted-sending-token").decode()
TEXT = "we are open until six"
USER = "guest-7"
NOW_S = 1_772_600_767.5
ADDRESS = Address(
    instance="desk",
    user=USER,
    reply_to="room/7",
    message_ids=("m-1", "m-2"),
    text_id="w_abc:0",
)


@dataclass(slots=True)
class Receiver:
    """A channel's own service, and what it was sent."""

    status: int
    answer: Any
    headers: Mapping[str, str]
    got: list[tuple[str, CIMultiDict[str], bytes]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        """Remember the request, then answer."""
        headers = CIMultiDict(request.headers)
        self.got.append((f"{request.method} {request.raw_path}", headers, await request.read()))
        return web.json_response(self.answer, status=self.status, headers=self.headers)


@asynccontextmanager
async def receiving(
    status: int = 202, answer: Any = None, **headers: str
) -> AsyncIterator[tuple[Receiver, str]]:
    """The service on loopback, and its address."""
    receiver = Receiver(status, answer, headers)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    async with TestServer(app) as server:
        yield receiver, str(server.make_url("/"))


def channel(base_url: str, token: str | None = TOKEN, **changes: Any) -> InstanceSettings:
    """The settings of an instance that can send."""
    secret = None if token is None else Secret(token)
    return InstanceSettings(provider="standard", base_url=base_url, **changes).model_copy(
        update={"token": secret}
    )


async def send(settings: InstanceSettings, address: Address = ADDRESS) -> SendResult:
    """One ``send`` in a session of its own."""
    async with aiohttp.ClientSession() as session:
        return await Standard(now_s=lambda: NOW_S).send(session, settings, address, TEXT)


async def result_of(status: int, answer: Any = None, **headers: str) -> SendResult:
    """What an answer comes to; an error names no user, no text and no token."""
    async with receiving(status, answer, **headers) as (receiver, url):
        result = await send(channel(url))
        assert len(receiver.got) == 1
    if not isinstance(result, Sent):
        for secret in (USER, TEXT, TOKEN):
            assert secret not in result.error
    return result


@pytest.mark.parametrize("path", ["", "hooks/inturn", "hooks?key=a%20b"])
async def test_a_text_is_posted_to_the_url_itself(path: str) -> None:
    """``base_url`` is the receiver's address, whole; the body is the documented one."""
    async with receiving() as (receiver, url):
        assert await send(channel(url + path)) == Sent(id="w_abc:0")
    [(line, headers, body)] = receiver.got
    assert line == f"POST /{path}"
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == "w_abc:0"
    assert json.loads(body) == {
        "type": "message.reply",
        "timestamp": "2026-03-04T05:06:07.500+00:00",
        "data": {
            "instance": "desk",
            "user": USER,
            "reply_to": "room/7",
            "text": TEXT,
            "message_id": "w_abc:0",
            "answers": ["m-1", "m-2"],
        },
    }


async def test_the_signature_is_the_specifications() -> None:
    """Key, signed bytes and form are those of Standard Webhooks; our own verifier agrees."""
    async with receiving() as (receiver, url):
        await send(channel(url))
    [(_, headers, body)] = receiver.got
    signed = f"w_abc:0.{int(NOW_S)}.".encode() + body
    digest = hmac.new(b"planted-sending-token", signed, hashlib.sha256).digest()
    assert headers["webhook-timestamp"] == str(int(NOW_S))
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    request = WebhookRequest(body=body, headers=headers, query=MultiDict())
    assert Standard(now_s=lambda: NOW_S).verify(request, (TOKEN,))


async def test_a_text_without_an_id_gets_one() -> None:
    """An id is never missing, and never that of another text."""
    address = Address(instance="desk", user=USER, reply_to=None)
    async with receiving() as (receiver, url):
        first, second = await send(channel(url), address), await send(channel(url), address)
    assert isinstance(first, Sent)
    assert isinstance(second, Sent)
    assert first.id != second.id
    assert [headers["webhook-id"] for _, headers, _ in receiver.got] == [first.id, second.id]


async def test_the_instance_is_called_as_the_receiver_calls_it() -> None:
    """``instance_name`` is the name on its side."""
    async with receiving() as (receiver, url):
        await send(channel(url, instance_name="reception"))
    assert b'"instance":"reception"' in receiver.got[0][2]


@pytest.mark.parametrize(
    "answer, sent_id",
    [
        ({"message_id": "x-1"}, "x-1"),
        ({"id": 17}, "17"),
        ({"message_id": None}, "w_abc:0"),
        ([], "w_abc:0"),
        ("thanks", "w_abc:0"),
        (None, "w_abc:0"),
    ],
)
async def test_the_receiver_may_name_what_it_sent(answer: Any, sent_id: str) -> None:
    """Its id is what its echo will have; else it is the webhook's."""
    assert await result_of(200, answer) == Sent(id=sent_id)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 301])
async def test_trouble_is_tried_again(status: int) -> None:
    """With the time that ``Retry-After`` names."""
    result = await result_of(status, {}, **{"Retry-After": "7", "Location": "/x"})
    assert isinstance(result, SendRetry)
    assert result.after_ms == (None if status == 301 else 7000)


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
async def test_a_refusal_is_final(status: int) -> None:
    """410 is the specification's word for an endpoint that is gone."""
    assert isinstance(await result_of(status, {"user": USER, "text": TEXT}), SendRefused)


async def test_without_a_channel_nothing_is_sent() -> None:
    """Both the address and the key are needed; a key that is none is a refusal."""
    provider = Standard()
    assert provider.has_channel(channel("http://127.0.0.1:1"))
    assert not provider.has_channel(channel("http://127.0.0.1:1", None))
    assert not provider.has_channel(InstanceSettings())
    async with receiving() as (receiver, url):
        assert isinstance(await send(channel(url, None)), SendRefused)
        assert isinstance(await send(channel(url, "whsec_n*t")), SendRefused)
    assert receiver.got == []
