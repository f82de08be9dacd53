"""The HTTP handler against a real endpoint: what it sends, and how it uses connections."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from shared.handlers.http_options import HttpOptions
from shared.model import Group, Media, Reply, Silence
from tests.support.handler_server import (
    Answer,
    HandlerCall,
    HandlerServer,
    threaded_handler_server,
)
from tests.support.http_handler import handler_to
from tests.support.windows import make_call

SECRET_BYTES = bytes(range(32))
WHSEC = "whsec_" + base64.b64encode(SECRET_BYTES).decode()


def is_signed(headers: Mapping[str, str], body: bytes, key: bytes) -> bool:
    """A verifier as a receiver would write it, from the specification alone."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = [item.removeprefix("v1,") for item in headers["webhook-signature"].split(" ")]
    return any(hmac.compare_digest(item, expected) for item in given)


async def test_the_request_is_the_contracts() -> None:
    """The endpoint gets the window as JSON, with the window's id in both idempotency headers."""
    group = Group(id="120363@g.us", author="491700000001")
    call = make_call(["hi", "are you open?"], attempt=2, quoted="Q1", name="Ada", group=group)
    async with HandlerServer([Answer.reply("yes")]) as server:
        async with handler_to(server.url) as handler:
            assert await handler.answer(call) == Reply(texts=("yes",))
        (request,) = server.calls
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["webhook-id"] == call.window.id
    assert request.headers["Idempotency-Key"] == call.window.id
    assert "webhook-signature" not in request.headers
    assert {name: request.json[name] for name in request.json if name != "messages"} == {
        "window_id": call.window.id,
        "instance": "shop",
        "user": "491700000001",
        "attempt": 2,
        "closed_by": "max_wait",
        "opened_at": 1_700_000_000_000,
        "closed_at": 1_700_000_008_000,
        "text": "hi\nare you open?",
    }
    assert request.json["messages"][1] == {
        "message_id": "M1",
        "entry_id": "1700000000100-0",
        "kind": "text",
        "text": "are you open?",
        "sent_at": 1_700_000_000_100,
        "received_at": 1_700_000_000_100,
        "quoted": "Q1",
        "name": "Ada",
        "group": {"id": "120363@g.us", "author": "491700000001"},
    }


@pytest.mark.parametrize(
    "secret, key", [(WHSEC, SECRET_BYTES), ("pläin secret", "pläin secret".encode())]
)
async def test_the_request_is_signed(secret: str, key: bytes) -> None:
    """An independent verifier accepts the bytes that arrived, and no other bytes or key."""
    async with HandlerServer() as server:
        async with handler_to(server.url, secret) as handler:
            await handler.answer(make_call(["grüß dich"]))
        (request,) = server.calls
    assert is_signed(request.headers, request.body, key)
    assert not is_signed(request.headers, request.body + b" ", key)
    assert not is_signed(request.headers, request.body, key + b"x")
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60


async def test_the_specifications_own_package_verifies_the_request() -> None:
    """Whoever follows Standard Webhooks with its library accepts a call, and no changed one."""
    receiver = Webhook(WHSEC)
    async with HandlerServer() as server:
        async with handler_to(server.url, WHSEC) as handler:
            await handler.answer(make_call(["grüß dich"]))
        (request,) = server.calls
    headers = dict(request.headers)
    assert receiver.verify(request.body, headers) == request.json
    for changed in ({"webhook-id": "w_other"}, {"webhook-timestamp": "1700000000"}):
        with pytest.raises(WebhookVerificationError):
            receiver.verify(request.body, {**headers, **changed})
    with pytest.raises(WebhookVerificationError):
        receiver.verify(request.body.replace(b"dich", b"euch"), headers)


async def test_configured_headers_go_out() -> None:
    """What an endpoint asks for is sent with every call, and replaces only what it may."""
    options = HttpOptions(headers=(("X-API-Key", "k-4711"), ("user-agent", "shop")))
    assert "k-4711" not in repr(options)
    async with HandlerServer() as server:
        async with handler_to(server.url, options=options) as handler:
            await handler.answer(make_call())
            await handler.answer(make_call())
        for request in server.calls:
            assert request.headers["X-API-Key"] == "k-4711"
            assert request.headers["User-Agent"] == "shop"
            assert request.headers["Content-Type"] == "application/json"


async def test_a_window_is_one_trace_and_each_attempt_a_span() -> None:
    """The header has the form of W3C, and is made of the window's id and the attempt alone."""
    window_id = make_call().window.id
    async with HandlerServer() as server, handler_to(server.url) as handler:
        for attempt in (1, 2, 2):
            await handler.answer(make_call(attempt=attempt))
        await handler.answer(make_call(user="another"))
        found = [request.headers["traceparent"] for request in server.calls]
    forms = [re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-01", one) for one in found]
    traces, spans = zip(*(form.groups() for form in forms if form), strict=True)
    assert traces[0] == hashlib.sha256(window_id.encode()).hexdigest()[:32]
    assert traces[:3] == (traces[0],) * 3
    assert traces[3] != traces[0]
    assert spans[0] != spans[1] == spans[2]


async def test_the_answer_is_read_at_the_configured_path() -> None:
    """A service's own form of answers needs no other program between."""
    answer = Answer.json({"data": {"outputs": {"text": "hello"}, "cost": 3}})
    options = HttpOptions(answer_path=("data", "outputs", "text"))
    async with (
        HandlerServer([answer]) as server,
        handler_to(server.url, options=options) as handler,
    ):
        assert await handler.answer(make_call()) == Reply(texts=("hello",))


async def test_connections_are_reused() -> None:
    """One window after the other goes over one connection, and closing is idempotent."""
    async with HandlerServer([Answer.reply("yes")]) as server:
        async with handler_to(server.url) as handler:
            for _ in range(5):
                await handler.answer(make_call())
            await handler.close()
        assert len({call.peer_port for call in server.calls}) == 1


async def test_cookies_are_not_carried_over() -> None:
    """What an endpoint sets for one user's window does not go out with another's."""
    answer = Answer(status=204, headers={"Set-Cookie": "session=alice; Path=/"})
    async with HandlerServer([answer]) as server, handler_to(server.url) as handler:
        await handler.answer(make_call())
        await handler.answer(make_call())
        assert all("Cookie" not in call.headers for call in server.calls)


async def test_calls_run_side_by_side() -> None:
    """A slow answer for one window holds no other back, however many are under way."""
    everyone = asyncio.Barrier(120)

    async def together(call: HandlerCall) -> Answer:
        await everyone.wait()
        return Answer.reply(call.json["text"])

    async with HandlerServer(together) as server, handler_to(server.url) as handler:
        calls = [handler.answer(make_call([f"t{number}"])) for number in range(120)]
        results = await asyncio.gather(*calls)
    assert results == [Reply(texts=(f"t{number}",)) for number in range(120)]


async def test_a_window_of_many_megabytes_goes_through() -> None:
    """Inline media makes a large request, which arrives whole and signed."""
    media = Media(mime="image/jpeg", data="A" * 3_000_000, size_bytes=2_250_000)
    async with HandlerServer() as server:
        async with handler_to(server.url, WHSEC) as handler:
            assert await handler.answer(make_call([""] * 3, media=media)) == Silence(
                reason="answered 204"
            )
        (request,) = server.calls
    assert [len(item["media"]["data"]) for item in request.json["messages"]] == [3_000_000] * 3
    assert is_signed(request.headers, request.body, SECRET_BYTES)


async def test_the_server_of_the_tests_also_runs_in_a_thread() -> None:
    """A test without a loop of its own has the same endpoint, and can wait for its calls."""
    with threaded_handler_server([Answer.reply("first"), Answer(status=204)]) as server:
        results: list[Any] = []
        async with handler_to(server.url) as handler:
            results += [await handler.answer(make_call()) for _ in range(3)]
        assert len(server.calls) == 3
    assert [type(result) for result in results] == [Reply, Silence, Silence]
