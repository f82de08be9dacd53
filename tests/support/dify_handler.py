"""The handler of a Dify app behind an address, and what one call of it comes to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from shared.handlers import Call, Handler
from shared.handlers.factory import handler_for
from shared.handlers.history import remember_thread
from shared.handlers.model_options import ModelOptions
from shared.model import Media, Result
from tests.support.handler_server import HandlerCall, HandlerServer, Script
from tests.support.models import CONVERSATION
from tests.support.windows import make_call

PHOTO = Media(mime="image/png", data="iVBORw0KGgo=", name="menu.png")
DAY_MS = 86_400_000


@asynccontextmanager
async def app_at(url: str, timeout_ms: int = 10_000, **options: Any) -> AsyncIterator[Handler]:
    """The handler of an app behind ``url``, closed at the end."""
    chosen = ModelOptions(**{"key": "app-secret", **options})
    setting = "dify:" + url.removesuffix("/answer")
    handler = handler_for(setting, secret=None, timeout_ms=timeout_ms, model=chosen)
    try:
        yield handler
    finally:
        await handler.close()


def call_in(conversation_id: str, **message: Any) -> Call:
    """A window of a conversation that Dify has under that id."""
    call = make_call(**message)
    return Call(
        window=call.window, attempt=1, history=(remember_thread(conversation_id, DAY_MS).item,)
    )


async def ask(
    script: Script, call: Call | None = None, **options: Any
) -> tuple[Result, list[HandlerCall]]:
    """What one call comes to, and the requests that it took."""
    async with HandlerServer(script) as server:
        async with app_at(server.url, **options) as handler:
            result = await handler.answer(make_call() if call is None else call)
        return result, server.calls


PIECES: list[dict[str, Any]] = [
    {"event": "workflow_started", "conversation_id": CONVERSATION},
    {"event": "message", "answer": "Good ", "conversation_id": CONVERSATION},
    {"event": "node_finished", "data": {"outputs": {"text": "inner"}}},
    {"event": "message", "answer": "morning", "conversation_id": CONVERSATION},
    {"event": "message_end", "conversation_id": CONVERSATION},
]
