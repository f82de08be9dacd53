"""Headers and the answer's path, from the settings to the handler that they are meant for."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import StartRefused
from shared.handlers.chosen import Handlers
from shared.handlers.http_options import HttpOptions
from shared.settings import Settings, load_settings

KEY = "k-4711"
GENERAL = """
handler = "http://127.0.0.1:5000/"
answer_path = "data.text"
handler_headers = { X-Key = "env:SHOP_KEY", X-Team = "blue" }
"""


@pytest.fixture
def config(config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file, with a key in the environment."""
    monkeypatch.setenv("SHOP_KEY", KEY)
    return config


def options_of(settings: Settings, instance: str | None) -> HttpOptions:
    """What the handler of an instance is told, or the general one."""
    return HttpOptions.of(settings, None if instance is None else settings.instance(instance))


def test_headers_come_by_reference_and_are_not_shown(config: Path) -> None:
    """A file under version control names the variable; no repr shows what it holds."""
    config.write_text(GENERAL)
    settings = load_settings()
    options = options_of(settings, None)
    assert dict(options.headers) == {"X-Key": KEY, "X-Team": "blue"}
    assert options.answer_path == ("data", "text")
    assert KEY not in repr(settings) + repr(options)


def test_an_instance_adds_to_the_general_headers(config: Path) -> None:
    """With the general handler, an instance's own values come on top."""
    config.write_text(
        GENERAL
        + """
        [instances.shop]
        answer_path = "choices[0].text"
        [instances.shop.handler_headers]
        X-Team = "red"
        X-Tenant = "shop"
        """
    )
    options = options_of(load_settings(), "shop")
    assert dict(options.headers) == {"X-Key": KEY, "X-Team": "red", "X-Tenant": "shop"}
    assert options.answer_path == ("choices", "0", "text")


def test_a_header_has_one_value_however_it_is_written(config: Path) -> None:
    """An instance's key goes out in place of the general one, and not beside it."""
    config.write_text(GENERAL + '[instances.shop.handler_headers]\nx-key = "its own"\n')
    options = options_of(load_settings(), "shop")
    assert dict(options.headers) == {"x-key": "its own", "X-Team": "blue"}


def test_the_general_headers_are_for_the_general_handler(config: Path) -> None:
    """One service's key is not sent to another, and its form of answers is not expected there."""
    config.write_text(GENERAL + '[instances.shop]\nhandler = "http://127.0.0.1:5001/"\n')
    assert options_of(load_settings(), "shop") == HttpOptions()


def test_instances_with_other_headers_have_other_handlers(config: Path) -> None:
    """And those whose settings are the same share one, and its connections."""
    config.write_text(
        GENERAL + '[instances.a]\n[instances.b.handler_headers]\nX-Team = "red"\n[instances.c]\n'
    )
    handlers = Handlers(load_settings())
    a, b, c = (handlers.handler(name) for name in "abc")
    assert a is c
    assert a is not b


@pytest.mark.parametrize(
    "line, problem",
    [
        ('"X Key" = "a"', "X Key: not a header's name"),
        ('"" = "a"', ": not a header's name"),
        ('webhook-id = "a"', "webhook-id: this header is set by inturn"),
        ('Content-Type = "a"', "Content-Type: this header is set by inturn"),
        ('X-Key = ""', "X-Key: a header's value is one line, not empty"),
        (f'X-Key = "{KEY}\\n{KEY}"', "X-Key: a header's value is one line, not empty"),
        ('X-Key = "env:NO_SUCH"', "X-Key: the environment variable NO_SUCH is not set"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused(config: Path, line: str, problem: str) -> None:
    """A problem names setting and header, and never the value."""
    config.write_text(f"[handler_headers]\n{line}\n[instances.shop.handler_headers]\n{line}\n")
    with pytest.raises(StartRefused) as refused:
        load_settings()
    general, own = refused.value.problems
    assert general.startswith(f"INTURN_HANDLER_HEADERS.{problem}")
    assert own.startswith(f"[instances.shop] handler_headers.{problem}")
    assert KEY not in general + own


def test_a_path_that_is_none_is_refused(config: Path) -> None:
    """At the start, and by the setting's name."""
    config.write_text('answer_path = "a..b"\n[instances.shop]\nanswer_path = ""\n')
    with pytest.raises(StartRefused) as refused:
        load_settings()
    names = [problem.partition(": ")[0] for problem in refused.value.problems]
    assert names == ["INTURN_ANSWER_PATH", "[instances.shop] answer_path"]
