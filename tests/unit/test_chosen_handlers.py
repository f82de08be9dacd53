"""Whose handler answers, and how long it may take."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from consumer.window import rules_for
from shared.handlers.chosen import Handlers
from shared.handlers.echo import EchoHandler
from shared.handlers.http import HttpHandler
from shared.settings import Settings

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
