"""The pages about handlers are run as they stand: from their settings and curl to a reply."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.redis_binary import ServerBinary
from shared.settings import Settings
from tests.support.command import UpCommand
from tests.support.doc_pages import blocks_of, run_curl
from tests.support.handler_server import Answer, HandlerServer
from tests.support.models import chat_message, completion
from tests.support.waiting import eventually

DOCS = Path(__file__).parents[2] / "docs"
COMMENTED = re.compile(r"^# (?=\w+ = \S)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What stands in for the service that a page is about, and the setting that leads there."""

    answer: Answer
    path: str
    handler: str = ""
    handler_base_url: str = ""
    key_header: str = "Authorization"

    def settings(self, url: str) -> dict[str, Any]:
        """The settings that lead to ``url`` instead of to the service."""
        named = {"handler": self.handler, "handler_base_url": self.handler_base_url}
        return {name: value.format(url=url) for name, value in named.items() if value}


PAGES = {
    "openai": Page(
        answer=completion("Yes, until six."),
        path="/v1/chat/completions",
        handler_base_url="{url}/v1",
    ),
    "dify": Page(
        answer=chat_message("Yes, until six."), path="/v1/chat-messages", handler="dify:{url}"
    ),
    "n8n": Page(
        answer=Answer.json({"output": "Yes, until six."}),
        path="/webhook/answer",
        handler="{url}/webhook/answer",
        key_header="X-Inturn-Key",
    ),
}
each_page = pytest.mark.parametrize("name", PAGES)


def text_of(name: str) -> str:
    """What stands on a page."""
    return (DOCS / f"{name}.md").read_text()


def plant_secrets(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value for each variable that a page's settings name."""
    for variable in re.findall(r'"env:(\w+)"', text):
        monkeypatch.setenv(variable, f"planted-{variable.lower()}")


@each_page
def test_what_a_page_only_mentions_loads_too(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes the comment signs off finds settings that exist."""
    (tmp_path / "prompt.txt").write_text("Be brief.")
    monkeypatch.chdir(tmp_path)
    written = "\n".join(blocks_of(text_of(name), "toml"))
    plant_secrets(written, monkeypatch)
    everything = COMMENTED.sub("", written)
    assert everything != written
    Settings(**tomllib.loads(everything))


@each_page
@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not there")
async def test_a_page_leads_from_nothing_to_a_reply(
    name: str, tmp_path: Path, redis_binary: ServerBinary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its settings start, its first curl is answered by the service, its second shows the reply."""
    page = PAGES[name]
    (settings,) = blocks_of(text_of(name), "toml")
    say, look = blocks_of(text_of(name), "sh")
    plant_secrets(settings, monkeypatch)
    (tmp_path / "inturn.toml").write_text(settings)
    (tmp_path / "prompt.txt").write_text("Be brief.")
    redis_folder = tmp_path / "bin"
    redis_folder.mkdir()
    (redis_folder / "redis-server").symlink_to(redis_binary.path.absolute())
    async with HandlerServer([page.answer]) as service:
        changes = page.settings(service.url.removesuffix("/answer"))
        changes |= {"config": "inturn.toml", "max_wait_ms": 800}
        async with UpCommand(tmp_path, redis_folder, changes) as up:
            await up.serving()
            await run(say, up)
            (call,) = await service.wait_for_calls(1)
            assert call.path == page.path
            assert "planted" in call.headers[page.key_header]
            assert "Are you open on Friday?" in call.body.decode()

            async def is_shown() -> bool:
                return "Yes, until six." in await run(look, up)

            await eventually(is_shown, "the reply in what the second curl shows")
            assert "planted" not in up.output


async def run(script: str, up: UpCommand) -> str:
    """The JSON that a page's curl prints when inturn is the one under test."""
    said = await run_curl(script, up.url.removeprefix("http://"))
    return json.dumps(json.loads(said), ensure_ascii=False)
