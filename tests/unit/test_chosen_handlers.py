"""Whose handler answers, and how long it may take."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.errors import StartRefused
from shared.handlers.chosen import Handlers
from shared.handlers.dify import DifyHandler
from shared.handlers.echo import EchoHandler
from shared.handlers.http import HttpHandler
from shared.handlers.model_options import ModelOptions
from shared.handlers.openai import OpenAIHandler
from shared.settings import Settings
from shared.window import rules_for

SETTINGS = Settings(
    handler_timeout_ms=5000,
    max_messages=7,
    instances={
        "own": {"handler": "http://127.0.0.1:1/own", "handler_timeout_ms": 1000},
        "line": {"handler": "http://127.0.0.1:1/line", "handler_timeout_ms": 90_000},
        "plain": {"max_messages": 2},
    },
)


@pytest.fixture
async def handlers() -> AsyncIterator[Handlers]:
    """Those of the settings."""
    made = Handlers(SETTINGS)
    yield made
    await made.close()


async def test_a_named_instance_has_its_own(handlers: Handlers) -> None:
    """Whatever it came through; where it says nothing, the general one."""
    assert isinstance(handlers.handler("own"), HttpHandler)
    assert handlers.handler("own", "line") is handlers.handler("own")
    assert handlers.timeout_ms("own", "line") == 1000
    assert isinstance(handlers.handler("plain", "line"), EchoHandler)
    assert handlers.timeout_ms("plain", "line") == 5000


async def test_an_instance_that_nobody_names_has_its_connections(handlers: Handlers) -> None:
    """One of many accounts behind one connection is answered as that says."""
    assert handlers.handler("unnamed", "line") is handlers.handler("line")
    assert handlers.timeout_ms("unnamed", "line") == 90_000
    assert isinstance(handlers.handler("unnamed"), EchoHandler)
    assert handlers.timeout_ms("unnamed") == handlers.timeout_ms("unnamed", "gone") == 5000


async def test_where_the_connection_is_not_known_the_longest_time_counts(
    handlers: Handlers,
) -> None:
    """Nobody calls an attempt forgotten that may still be at work."""
    assert handlers.longest_timeout_ms("unnamed") == 90_000
    assert handlers.longest_timeout_ms("own") == 1000


@pytest.mark.parametrize(
    "instance, connection, count",
    [
        ("plain", None, 2),
        ("unnamed", "plain", 2),
        ("unnamed", None, 7),
        ("own", "plain", 7),
    ],
)
def test_windows_follow_the_same_rule(instance: str, connection: str | None, count: int) -> None:
    """Its own settings, its connection's where nobody names it, the general ones."""
    assert rules_for(SETTINGS, instance, connection).max_messages == count


async def test_a_model_is_asked_as_the_instance_says() -> None:
    """Its own settings before the general ones, one by one; equal ones share a handler."""
    settings = Settings(
        handler="openai:small-one",
        handler_base_url="http://127.0.0.1:1/v1",
        handler_key="sk-general",
        system_prompt="Be brief.",
        temperature=0.5,
        instances={
            "own": {
                "handler_key": "sk-own",
                "system_prompt": "Be kind.",
                "temperature": 0,
                "max_tokens": 50,
                "handler_images": False,
                "history_messages": 0,
                "history_ms": 1000,
            },
            "plain": {},
            "other": {"handler": "dify:http://127.0.0.1:1", "handler_key": "app-other"},
        },
    )
    assert ModelOptions.of(settings, settings.instance("own")) == ModelOptions(
        base_url="http://127.0.0.1:1/v1",
        key="sk-own",
        system_prompt="Be kind.",
        temperature=0,
        max_tokens=50,
        images=False,
        history_messages=0,
        history_ms=1000,
    )
    assert ModelOptions.of(settings, settings.instance("plain")) == ModelOptions(
        base_url="http://127.0.0.1:1/v1",
        key="sk-general",
        system_prompt="Be brief.",
        temperature=0.5,
    )
    assert "sk-" not in repr(ModelOptions.of(settings, settings.instance("own")))
    made = Handlers(settings)
    assert made.handler("plain") is made.handler("unnamed")
    assert isinstance(made.handler("own"), OpenAIHandler)
    assert made.handler("own") is not made.handler("plain")
    assert isinstance(made.handler("other"), DifyHandler)
    await made.close()


def test_every_model_without_a_key_is_named() -> None:
    """One start tells of all of them."""
    settings = Settings(
        handler="openai:small-one", instances={"own": {"handler": "dify:http://127.0.0.1:1"}}
    )
    with pytest.raises(StartRefused) as refused:
        Handlers(settings)
    named = [problem.partition(": ")[0] for problem in refused.value.problems]
    assert named == ["INTURN_HANDLER", "[instances.own] handler"]


DIFY, OPENAI = "dify:http://127.0.0.1:1", "openai:small-one"


@pytest.mark.parametrize(
    "general, own, key",
    [
        (OPENAI, {}, "sk-general"),
        (OPENAI, {"handler": "openai:large-one"}, "sk-general"),
        ("echo", {"handler": OPENAI}, "sk-general"),
        (OPENAI, {"handler_base_url": "http://127.0.0.1:1/v1"}, None),
        (OPENAI, {"handler": DIFY}, None),
        (DIFY, {}, "sk-general"),
        (DIFY, {"handler": OPENAI}, None),
        (DIFY, {"handler": "dify:http://127.0.0.2:1"}, None),
        (DIFY, {"handler": DIFY, "handler_key": "app-own"}, "app-own"),
    ],
)
def test_no_service_is_sent_another_ones_key(
    general: str, own: dict[str, str], key: str | None
) -> None:
    """The general key goes to the general server; whoever asks another has a key of its own."""
    settings = Settings(handler=general, handler_key="sk-general", instances={"own": own})
    assert ModelOptions.of(settings, settings.instance("own")).key == key
