"""The setting HANDLER becomes a handler, or a problem that names the setting."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import StartRefused
from shared.handlers import Handler
from shared.handlers.dify import DifyHandler
from shared.handlers.echo import EchoHandler
from shared.handlers.factory import handler_for
from shared.handlers.http import HttpHandler
from shared.handlers.http_options import HttpOptions
from shared.handlers.model_options import ModelOptions
from shared.handlers.openai import OpenAIHandler
from shared.handlers.python import PythonHandler
from shared.model import Reply
from tests.support.windows import make_call


def make_handler(setting: str, secret: str | None = None) -> Handler:
    """The handler of a setting whose other values do not matter."""
    model = ModelOptions(key="sk-4711")
    return handler_for(setting, secret=secret, timeout_ms=1000, model=model)


@pytest.mark.parametrize(
    "setting, kind",
    [
        ("echo", EchoHandler),
        ("python:json:dumps", PythonHandler),
        ("python:json.decoder.scanstring", PythonHandler),
        ("http://127.0.0.1:5678/webhook/x?key=1", HttpHandler),
        ("HTTPS://bot.example/answer", HttpHandler),
        ("http://[::1]:80", HttpHandler),
        ("openai:gpt-4.1-mini", OpenAIHandler),
        ("openai:ft:small:shop::1", OpenAIHandler),
        ("dify:https://api.dify.ai/v1", DifyHandler),
    ],
)
def test_each_kind_has_a_setting(setting: str, kind: type) -> None:
    """Every kind that the documentation names is built without a running loop."""
    assert isinstance(make_handler(setting), kind)


@pytest.mark.parametrize(
    "setting, problem",
    [
        ("ekko", "no handler 'ekko'; possible are echo, python:module:function, http://"),
        ("echo:x", "no handler 'echo'"),
        ("", "not a handler; possible are"),
        ("user-4711@host:1/x", "not a handler; possible are"),
        ("openai", "no handler 'openai'"),
        ("openai:", "does not have the form openai:<model>"),
        ("dify:", "not a URL of the form http(s)://host[:port]/path"),
        ("dify:user-4711@host", "not a URL of the form"),
        ("dify:https://user:4711@host/v1", "dify: has a user or password in its URL"),
        ("http://", "not a URL of the form http(s)://host[:port]/path"),
        ("https:/bot.example", "not a URL of the form"),
        ("http://host:99999/", "not a URL of the form"),
        ("python:json", "python:json does not have the form python:module:function"),
        ("python::dumps", "does not have the form"),
        ("python:no_such_module_here:f", "cannot import module no_such_module_here"),
        ("python:json:no_such", "module json has no no_such"),
        ("python:json:__name__", "__name__ of module json is not a function"),
        ("python:..json:dumps", "cannot import module ..json"),
        (
            "python:no_such_module_here.f",
            f"is no_such_module_here.py in {Path.cwd()}, where inturn",
        ),
        ("python:os:getcwdb.no", "module os has no getcwdb.no"),
        ("python:os.path:commonpath.x", "module os.path has no commonpath.x"),
        ("python:operator:add", "add of module operator must take one argument, the window"),
        ("python:gc:collect.__self__", "is not a function"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(setting: str, problem: str) -> None:
    """A setting that means nothing ends the start with one line that says what is possible."""
    with pytest.raises(StartRefused) as refused:
        make_handler(setting)
    (line,) = refused.value.problems
    assert line.startswith("INTURN_HANDLER: ")
    assert problem in line
    assert "4711" not in line


def test_who_calls_is_said_once() -> None:
    """A user in the URL and an Authorization header cannot go out together: no call could."""
    options = HttpOptions(headers=(("authorization", "Bearer 4711"),))
    with pytest.raises(StartRefused, match="INTURN_HANDLER: has a user or password") as refused:
        handler_for("http://me:4711@host/", secret=None, timeout_ms=1000, http=options)
    assert "4711" not in str(refused.value)
    handler_for("http://me:4711@host/", secret=None, timeout_ms=1000)
    handler_for("http://host/", secret=None, timeout_ms=1000, http=options)


@pytest.mark.parametrize(
    "setting, problem",
    [
        ("openai:small-one", "needs handler_key, or the handler_base_url of another server"),
        ("dify:http://127.0.0.1", "needs handler_key, the app's API key"),
    ],
)
def test_a_model_without_a_key_is_refused(setting: str, problem: str) -> None:
    """Nobody finds out by a 401 in the middle of the night."""
    with pytest.raises(StartRefused, match=problem):
        handler_for(setting, secret=None, timeout_ms=1000)


async def test_a_server_of_ones_own_may_want_no_key() -> None:
    """A model on the same machine needs a base URL alone."""
    model = ModelOptions(base_url="http://127.0.0.1:11434/v1")
    handler = handler_for("openai:small-one", secret=None, timeout_ms=1000, model=model)
    await handler.close()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sets openai: without the extra is told how to install it where inturn is."""
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(StartRefused, match=r"INTURN_HANDLER: the package openai is not") as told:
        make_handler("openai:small-one")
    assert f"({sys.executable} -m pip install openai)" in str(told.value)


def test_nobody_else_needs_the_package() -> None:
    """The other handlers start without it, and half a second sooner."""
    code = "import sys, shared.handlers.chosen; assert 'openai' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_a_wrong_secret_is_refused_by_name() -> None:
    """A secret that claims to be base64 and is not names its setting and not itself."""
    with pytest.raises(StartRefused) as refused:
        make_handler("http://127.0.0.1/", secret="whsec_not!base64")
    assert refused.value.problems == ("INTURN_HANDLER_SECRET: what follows whsec_ is not base64",)


def test_an_instances_own_setting_is_named() -> None:
    """A problem in an instance's section names that section."""
    named = "[instances.shop] handler"
    with pytest.raises(StartRefused, match=r"^\[instances.shop\] handler: not a URL"):
        handler_for("http:", secret=None, timeout_ms=1000, named=named)
    with pytest.raises(StartRefused, match=r"^\[instances.shop\] handler_secret: the secret is"):
        handler_for("http://a/", secret="whsec_", timeout_ms=1000, named=named)


@pytest.mark.parametrize(
    "texts, reply",
    [
        (["hi", "", "are you open?"], "hi\nare you open?"),
        ([""], "1 message"),
        (["", " "], "2 messages"),
    ],
)
async def test_echo_answers_with_the_window(texts: list[str], reply: str) -> None:
    """Echo joins the texts of a window, and counts the messages of one without text."""
    handler = make_handler("echo")
    assert await handler.answer(make_call(texts)) == Reply(texts=(reply,))
    await handler.close()
