"""A trace that a message came with goes on at the handler, through Redis's form of it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from shared.handlers import Call
from shared.model import Entry
from shared.wire import decode_message, encode_message
from tests.support.evolution_payloads import text_item, webhook
from tests.support.handler_server import HandlerServer
from tests.support.http_handler import handler_to
from tests.support.ingest_server import serving
from tests.support.windows import make_call

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CAME = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
API_BODY = {"instance": "shop", "user": "ann", "text": "hi"}


@pytest.mark.parametrize(
    "path, body",
    [("/api/v1/messages", API_BODY), ("/webhooks/evolution/shop", webhook(text_item("hi")))],
)
async def test_the_trace_of_a_request_is_its_messages(path: str, body: object) -> None:
    """Of the API and of webhooks; without one, or with a broken one, there is none."""
    for headers in (CAME, {}, {"traceparent": "planted"}):
        async with serving() as server:
            answer = await server.post(path, body, headers=headers)
            assert answer.status in (200, 202)
            (message,) = server.appender.messages
            assert message.trace == (f"{TRACE}-01" if headers is CAME else None)
            assert decode_message(message.instance, encode_message(message)) == message


async def test_the_handler_goes_on_with_the_trace() -> None:
    """The window's first that has one; each attempt is a span of its own."""
    window = make_call(["hi", "there"]).window
    first, second = window.entries
    traced = Entry(id=second.id, message=replace(second.message, trace=f"{TRACE}-01"))
    window = replace(window, entries=(first, traced))
    async with HandlerServer() as server, handler_to(server.url) as handler:
        for attempt in (1, 2):
            await handler.answer(Call(window=window, attempt=attempt))
        found = [call.headers["traceparent"].split("-") for call in server.calls]
    assert [one[1] for one in found] == [TRACE, TRACE]
    assert found[0][2] != found[1][2]
