"""The handler of a model behind an address, and what one call of it comes to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from shared.handlers import Handler
from shared.handlers.factory import handler_for
from shared.handlers.model_options import ModelOptions
from shared.model import Result
from tests.support.handler_server import Answer, HandlerServer
from tests.support.windows import make_call


@asynccontextmanager
async def model_at(
    url: str, timeout_ms: int = 10_000, model: str = "small-one", **options: Any
) -> AsyncIterator[Handler]:
    """The handler of a model behind ``url``, closed at the end."""
    base_url = url.removesuffix("/answer") + "/v1"
    chosen = ModelOptions(**{"base_url": base_url, "key": "sk-secret", **options})
    handler = handler_for(f"openai:{model}", secret=None, timeout_ms=timeout_ms, model=chosen)
    try:
        yield handler
    finally:
        await handler.close()


async def result_of(answer: Answer, timeout_ms: int = 10_000, **options: Any) -> Result:
    """What one call comes to when the server gives ``answer``; it must be asked once."""
    async with HandlerServer([answer]) as server:
        async with model_at(server.url, timeout_ms, **options) as handler:
            result = await handler.answer(make_call())
        assert len(server.calls) == 1
        return result
