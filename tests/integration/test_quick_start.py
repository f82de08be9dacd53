"""The handlers of README's quick start are run as they stand, from its commands to a reply."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.handlers.chosen import Handlers
from shared.handlers.kinds import handler_kind
from shared.model import Reply, Result, Silence
from shared.settings import load_settings
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.http_handler import unused_port
from tests.support.models import chat_message, completion
from tests.support.redis_server import ROOT
from tests.support.waiting import eventually
from tests.support.windows import make_call

README = (ROOT / "README.md").read_text()
QUICK_START = README.partition("To answer for real")[2].partition("[examples](examples)")[0]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", QUICK_START, re.DOTALL | re.MULTILINE)
COMMANDS = {
    re.findall(r"INTURN_HANDLER=(\S+)", text)[0]: text
    for language, text in BLOCKS
    if language == "sh"
}
FUNCTION, ENDPOINT = [text for language, text in BLOCKS if language == "python"]
TEXT = "Yes, until six."


def environment_of(command: str, folder: Path) -> dict[str, str]:
    """The settings that ``make run`` finds in its environment."""
    seen, make = folder / "seen", folder / "make"
    make.write_text(f"#!/bin/sh\n[ \"$*\" = run ] && exec env -0 > '{seen}'\n")
    make.chmod(0o755)
    subprocess.run(["sh", "-ec", command], check=True, env={"PATH": f"{folder}:/usr/bin:/bin"})
    pairs = (line.partition("=") for line in seen.read_text().split("\0"))
    return {name: value for name, _, value in pairs if name.startswith("INTURN_")}


@asynccontextmanager
async def handlers_of(
    setting: str, folder: Path, monkeypatch: pytest.MonkeyPatch, base_url: str = ""
) -> AsyncIterator[Handlers]:
    """
    What the command of ``setting`` has inturn start with in ``folder``; its ``make`` only looks.

    ``base_url`` goes in place of the service's, whether the command names that or not.
    """
    command = COMMANDS[setting]
    for name, value in environment_of(command, folder).items():
        monkeypatch.setenv(name, value)
    for name in re.findall(r"env:(\w+)", command):
        monkeypatch.setenv(name, f"planted-{name.lower()}")
    if base_url:
        named = re.sub(r"https?://[^/]+", base_url, setting)
        monkeypatch.setenv("INTURN_HANDLER", named)
        if named == setting:
            monkeypatch.setenv("INTURN_HANDLER_BASE_URL", f"{base_url}/v1")
    monkeypatch.chdir(folder)
    handlers = Handlers(load_settings())
    try:
        yield handlers
    finally:
        await handlers.close()


def test_each_kind_takes_less_than_ten_lines() -> None:
    """Its program and its command together, for every kind that there is but the echo."""
    kinds = {handler_kind(setting) for setting in COMMANDS}
    assert kinds == {"python", "http", "openai", "dify"}
    for part in QUICK_START.split("\n**")[1:]:
        blocks = re.findall(r"^```\w+\n(.*?)^```$", part, re.DOTALL | re.MULTILINE)
        lines = [line for line in "".join(blocks).splitlines() if line.strip()]
        assert 1 <= len(lines) < 10, part


async def test_the_function_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the folder that inturn is started in."""
    (tmp_path / "bot.py").write_text(FUNCTION)
    monkeypatch.delitem(sys.modules, "bot", raising=False)
    async with handlers_of("python:bot:answer", tmp_path, monkeypatch) as handlers:
        handler = handlers.handler("shop")
        reply = await handler.answer(make_call(["hi", "are you open?"]))
        assert reply == Reply(texts=("2 messages: hi\nare you open?",))
        assert await handler.answer(make_call([""])) == Silence(reason="returned None")


async def test_the_endpoint_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside inturn, at the port where the command looks for it."""
    setting = "http://127.0.0.1:5000/answer"
    port = unused_port()
    assert ENDPOINT.count("port=5000") == 1
    (tmp_path / "endpoint.py").write_text(ENDPOINT.replace("5000", str(port)))
    process = await asyncio.create_subprocess_exec(sys.executable, "endpoint.py", cwd=tmp_path)
    try:
        base_url = f"http://127.0.0.1:{port}"
        async with handlers_of(setting, tmp_path, monkeypatch, base_url) as handlers:

            async def answers() -> bool:
                result: Result = await handlers.handler("shop").answer(make_call(["hi"]))
                return result == Reply(texts=("You wrote: hi",))

            await eventually(answers, "the endpoint's reply", 20)
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize(
    "setting, answer, path, header",
    [
        (
            "https://n8n.example.org/webhook/answer",
            Answer.json([{"output": TEXT}]),
            "/webhook/answer",
            "X-Inturn-Key",
        ),
        ("openai:gpt-4.1-mini", completion(TEXT), "/v1/chat/completions", "Authorization"),
        ("dify:https://api.dify.ai/v1", chat_message(TEXT), "/v1/chat-messages", "Authorization"),
    ],
)
async def test_a_service_answers(
    setting: str,
    answer: Answer,
    path: str,
    header: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command asks the service that it names, here a local one, and with its key."""
    async with HandlerServer([answer]) as server:
        base_url = server.url.removesuffix("/answer")
        async with handlers_of(setting, tmp_path, monkeypatch, base_url) as handlers:
            reply = await handlers.handler("shop").answer(make_call())
        call: HandlerCall
        (call,) = server.calls
    assert isinstance(reply, Reply)
    assert reply.texts == (TEXT,)
    assert call.path == path
    assert "planted" in call.headers[header]
