"""The HTTP handler beside an endpoint, for the tests that put the two together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.handlers import Handler
from shared.handlers.factory import handler_for
from shared.handlers.http_options import HttpOptions
from shared.model import Result
from tests.support.handler_server import Answer, HandlerServer
from tests.support.redis_server import free_port
from tests.support.windows import make_call


@asynccontextmanager
async def handler_to(
    url: str,
    secret: str | None = None,
    timeout_ms: int = 10_000,
    options: HttpOptions | None = None,
) -> AsyncIterator[Handler]:
    """The handler that the setting ``url`` gives, closed at the end."""
    handler = handler_for(url, secret=secret, timeout_ms=timeout_ms, http=options)
    try:
        yield handler
    finally:
        await handler.close()


async def result_of(answer: Answer, timeout_ms: int = 10_000) -> Result:
    """What one call comes to when the endpoint gives ``answer``; it must be called once."""
    async with HandlerServer([answer]) as server:
        async with handler_to(server.url, timeout_ms=timeout_ms) as handler:
            result = await handler.answer(make_call())
        assert len(server.calls) == 1
        return result


@asynccontextmanager
async def raw_endpoint(answer: bytes) -> AsyncIterator[str]:
    """An endpoint that reads the head of a request, writes ``answer`` and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def unused_port() -> int:
    """A port of loopback on which nobody listens."""
    return free_port()
