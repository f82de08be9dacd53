"""The handlers in ``examples`` answer as their first lines say."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.handlers.chosen import Handlers
from shared.handlers.factory import handler_for
from shared.model import Reply
from shared.settings import load_settings
from tests.support.handler_server import Answer, HandlerServer
from tests.support.models import chat_message, completion
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


@pytest.mark.parametrize(
    "name, answer, path",
    [
        ("openai", completion("Yes, until six."), "/v1/chat/completions"),
        ("dify", chat_message("Yes, until six."), "/v1/chat-messages"),
    ],
)
async def test_the_settings_of_a_model_answer(
    name: str, answer: Answer, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's settings, in its folder, ask the service that they name, here a local one."""
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setenv("INTURN_CONFIG", f"{name}.toml")
    for variable in ("OPENAI_API_KEY", "DIFY_API_KEY"):
        monkeypatch.setenv(variable, "planted-key")
    async with HandlerServer([answer]) as server:
        base_url = server.url.removesuffix("/answer") + "/v1"
        monkeypatch.setenv("INTURN_HANDLER_BASE_URL", base_url)
        settings = load_settings()
        assert settings.handler.startswith(f"{name}:")
        if name == "dify":
            settings = settings.model_copy(update={"handler": f"dify:{base_url}"})
        handlers = Handlers(settings)
        reply = await handlers.handler("shop").answer(make_call())
        await handlers.close()
        (call,) = server.calls
    assert isinstance(reply, Reply)
    assert reply.texts == ("Yes, until six.",)
    assert call.path == path
    assert call.headers["Authorization"] == "Bearer planted-key"
