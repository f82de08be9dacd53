"""The handlers in ``examples`` answer as their first lines say."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.handlers.factory import handler_for
from shared.model import Reply
from tests.support.windows import make_call

EXAMPLES = Path(__file__).parents[2] / "examples"


async def test_the_python_example_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its setting, written in its folder, gives a handler that counts and repeats the messages."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.chdir(EXAMPLES)
    handler = handler_for("python:handler:answer", secret=None, timeout_ms=1000)
    reply = await handler.answer(make_call(["hi", "are you open?"]))
    assert reply == Reply(texts=("You wrote 2 messages:\nhi\nare you open?",))
    await handler.close()


async def test_the_http_example_answers(capsys: pytest.CaptureFixture[str]) -> None:
    """The endpoint prints the window that it was given and replies to it."""
    app: web.Application = runpy.run_path(str(EXAMPLES / "http_handler.py"))["app"]
    async with TestServer(app) as server:
        url = str(server.make_url("/answer"))
        handler = handler_for(url, secret=None, timeout_ms=10_000)
        assert await handler.answer(make_call()) == Reply(texts=("You wrote: hello",))
        await handler.close()
    assert '"text": "hello"' in capsys.readouterr().out
