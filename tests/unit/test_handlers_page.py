"""What docs/handlers.md says of answers, settings and functions is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.handlers import call_to_dict
from shared.handlers.chosen import Handlers
from shared.handlers.http_options import HttpOptions
from shared.handlers.metadata import METADATA_MAX_BYTES
from shared.handlers.python import PythonHandler
from shared.handlers.replies import read_text
from shared.handlers.reply_fields import REPLY_FIELDS
from shared.model import Rejected, Reply, Retry, Silence
from shared.settings import load_settings
from tests.support.doc_pages import blocks_of
from tests.support.windows import make_call

PAGE = (Path(__file__).parents[2] / "docs" / "handlers.md").read_text()
TABLE = PAGE.partition("| the user gets |")[2].partition("\n\n")[0]
TEXTS = re.findall(r"^\| `(.+)` \| `(.+)` \|$", TABLE, re.MULTILINE)


def block(language: str) -> str:
    """The page's only block of a language."""
    (found,) = blocks_of(PAGE, language)
    return found


@pytest.mark.parametrize("text, reply", TEXTS)
def test_a_text_becomes_what_the_page_says(text: str, reply: str) -> None:
    """Each row of its table."""
    answer = read_text(text)
    assert isinstance(answer, Reply)
    assert answer.texts == (reply,)


def test_the_page_has_every_row_and_field() -> None:
    """The table is found, the fields are named in their order, and the bound is the bound."""
    assert len(TEXTS) == 6
    assert ", ".join(f"`{name}`" for name in REPLY_FIELDS) in PAGE.replace("\n", " ")
    assert f"{METADATA_MAX_BYTES // 1024} KiB" in PAGE


def test_the_request_has_the_fields_that_the_page_shows() -> None:
    """A window as it is handed over."""
    shown: dict[str, Any] = orjson.loads(block("json"))
    handed = call_to_dict(make_call(["hi", "are you open?"]))
    assert shown.keys() == handed.keys()
    assert shown["text"] == handed["text"]
    assert [one.keys() for one in shown["messages"]] == [one.keys() for one in handed["messages"]]


def test_the_settings_load_and_mean_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets come from where the page says, and the instance has its own."""
    secret = tmp_path / "n8n"
    secret.write_text("k-4711\n")
    config = tmp_path / "inturn.toml"
    config.write_text(block("toml").replace("/run/secrets/n8n", str(secret)))
    monkeypatch.setenv("INTURN_CONFIG", str(config))
    monkeypatch.setenv("HANDLER_SECRET", "whsec_c2VjcmV0")
    monkeypatch.setenv("BOT_AUTHORIZATION", "Bearer b-4711")
    settings = load_settings()
    handlers = Handlers(settings)
    assert (handlers.concurrency("shop"), handlers.concurrency("other")) == (2, 50)
    assert dict(HttpOptions.of(settings, None).headers) == {"Authorization": "Bearer b-4711"}
    own = HttpOptions.of(settings, settings.instance("shop"))
    assert (dict(own.headers), own.answer_path) == ({"X-N8N-Key": "k-4711"}, None)


async def test_the_function_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands on the page."""
    (tmp_path / "handler_of_the_page.py").write_text(block("python"))
    monkeypatch.syspath_prepend(tmp_path)
    handler = PythonHandler.load("handler_of_the_page:answer", threads=1)
    assert await handler.answer(make_call([""])) == Silence(reason="returned None")
    assert await handler.answer(make_call(["hi"])) == Reply(texts=("You wrote: hi",))
    late = await handler.answer(make_call(["my invoice"]))
    assert isinstance(late, Retry)
    assert late.after_ms == 60_000
    assert await handler.answer(make_call(["spam"])) == Rejected(error="Reject: spam")
    texts = ("One moment.", "Somebody will write to you.")
    assert await handler.answer(make_call(["a human!"])) == Reply(texts, mute_ms=1_800_000)
    await handler.close()
