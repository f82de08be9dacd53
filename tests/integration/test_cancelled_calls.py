"""A call that is cut short, of every handler that goes over a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from msgspec import structs

from shared.handlers import Handler
from shared.model import Reply
from tests.support.dify_handler import app_at
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.http_handler import handler_to
from tests.support.models import chat_message, completion
from tests.support.openai_handler import model_at
from tests.support.windows import make_call


@pytest.mark.parametrize(
    "handler_at, answer",
    [
        pytest.param(handler_to, Answer.reply("second"), id="http"),
        pytest.param(model_at, completion("second"), id="openai"),
        pytest.param(app_at, chat_message("second"), id="dify"),
    ],
)
async def test_cancelling_a_call_closes_its_connection(
    handler_at: Callable[[str], AbstractAsyncContextManager[Handler]], answer: Answer
) -> None:
    """A call that shutdown cuts short ends at once, and the next one is not disturbed."""
    reached = asyncio.Event()

    async def script(_call: HandlerCall) -> Answer:
        if not reached.is_set():
            reached.set()
            await asyncio.get_running_loop().create_future()
        return answer

    async with HandlerServer(script) as server, handler_at(server.url) as handler:
        first = asyncio.create_task(handler.answer(make_call()))
        await asyncio.wait_for(reached.wait(), 10)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = await handler.answer(make_call(attempt=2))
    assert isinstance(second, Reply)
    assert structs.replace(second, memory=None) == Reply(texts=("second",))
