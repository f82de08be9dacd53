"""The handlers in ``examples`` answer as their first lines say."""

from __future__ import annotations

import runpy
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.handlers.chosen import Handlers
from shared.handlers.factory import handler_for
from shared.model import Rejected, Reply, Retry, Silence
from shared.settings import load_settings
from shared.tickets import Place, PlaceState, open_tickets
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


async def test_the_blocking_example_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each way to answer that it shows: a text, silence, a person's turn, later, and never."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    handler = handler_for("python:blocking_handler:answer", secret=None, timeout_ms=10_000)
    assert await handler.answer(make_call(["", ""], kind="sticker")) == Silence(
        reason="returned None"
    )
    handed_over = Reply(texts=("One moment, a colleague will answer.",), mute_ms=1_800_000)
    assert await handler.answer(make_call(["where is it?"])) == handed_over
    later = Retry(error="RetryLater: the orders are not there yet", after_ms=30_000)
    assert await handler.answer(make_call(["order 4711"])) == later
    with closing(sqlite3.connect(tmp_path / "orders.sqlite")) as orders, orders:
        orders.execute("CREATE TABLE orders (number TEXT PRIMARY KEY, state TEXT)")
        orders.execute("INSERT INTO orders VALUES ('4711', 'on its way')")
    found = await handler.answer(make_call(["where is", "order 4711?"]))
    assert found == Reply(texts=("Your order is on its way.",))
    unknown = await handler.answer(make_call(["order 4712"]))
    assert unknown == Rejected(error="Reject: names an order that there is not")
    await handler.close()


async def test_the_ticket_example_gives_numbers_out(
    monkeypatch: pytest.MonkeyPatch, redis_url: str, prefix: str
) -> None:
    """One for each user who asks, the same one when its window is handled again; no queue, no."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setenv("INTURN_REDIS_URL", redis_url)
    monkeypatch.setenv("INTURN_PREFIX", prefix)
    handler = handler_for("python:ticket_handler:answer", secret=None, timeout_ms=10_000)
    assert await handler.answer(make_call(["hello"])) == Reply(
        texts=('Write "number" to get one.',)
    )
    async with open_tickets() as tickets:
        for user in ("bob", "cid", "dan"):
            await tickets.enter("shop", user)
        for _ in range(2):
            told = await handler.answer(make_call(["a NUMBER", "please"], user="ann"))
            assert told == Reply(texts=("you are number 4, 3 ahead",))
        assert (await tickets.status("shop", "ann")).user == Place(
            number=4, ahead=3, state=PlaceState.WAITING
        )
    monkeypatch.setenv("INTURN_TICKET_CLINICS", "east, west")
    assert await handler.answer(make_call(["number"])) == Reply(
        texts=("there is no clinic of this name",)
    )
    await handler.close()


async def test_the_echo_example_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings give back what the user wrote."""
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setenv("INTURN_CONFIG", "echo.toml")
    handlers = Handlers(load_settings())
    assert await handlers.handler("shop").answer(make_call()) == Reply(texts=("hello",))
    await handlers.close()


def test_each_kind_of_handler_has_its_example() -> None:
    """And nothing stands there that no test runs."""
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {
        "blocking_handler.py",
        "dify.toml",
        "echo.toml",
        "handler.py",
        "http_handler.py",
        "openai.toml",
        "prompt.txt",
        "ticket_handler.py",
    }


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
