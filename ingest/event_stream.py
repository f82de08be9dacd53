"""How an answer that is a stream of server-sent events begins."""

from __future__ import annotations

import random

from aiohttp import HttpVersion11, hdrs, web

from ingest.frames import retry_line
from ingest.listener import Listener, write_patiently

RETRY_MS = (500, 1500)
"""A browser comes back after a time out of this range, so that not all come back at once."""

_HEADERS = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-store",
    "X-Accel-Buffering": "no",  # nginx would else gather what is to be told at once
}


def stream_answer(request: web.Request) -> web.StreamResponse:
    """One that goes on until the connection ends."""
    answer = web.StreamResponse(headers=_HEADERS)
    answer.force_close()
    if request.version >= HttpVersion11:
        answer.enable_chunked_encoding()
    return answer


def listener_of(request: web.Request, answer: web.StreamResponse) -> Listener | None:
    """Who asked for the stream; None: the client is gone."""
    if request.transport is None:
        return None
    return Listener(request.transport, chunked=bool(answer.chunked))


async def begin_stream(
    request: web.Request, answer: web.StreamResponse, listener: Listener
) -> None:
    """Send the head, and how soon a browser is to come back."""
    await answer.prepare(request)
    await write_patiently(listener, answer, retry_line(random.randint(*RETRY_MS)))
