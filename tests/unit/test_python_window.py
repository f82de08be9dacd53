"""What a Python function takes from ``shared``: the window that it gets, and what it may raise."""

from __future__ import annotations

import copy
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

import shared
from shared import Message, Reply, RetryLater, Window
from shared.handlers import call_to_dict
from shared.handlers.python import AFTER_MAX_S, judge_exception
from shared.handlers.request import window_of
from shared.model import Group, Media, Retry
from tests.support.windows import make_call

ROOT = Path(__file__).parents[2]
FULL = make_call(
    ["hi", "there"],
    attempt=2,
    kind="image",
    media=Media(id="42", mime="image/png"),
    quoted="M0",
    name="Ana",
    group=Group(id="g-1", author="a-1"),
    raw={"to": ["me"]},
)


def test_all_that_a_handler_needs_comes_from_shared() -> None:
    """The five names are there, and each says what it is for."""
    assert set(shared.__all__) == {"Message", "Reject", "Reply", "RetryLater", "Window"}
    for name in shared.__all__:
        told = inspect.getdoc(getattr(shared, name))
        assert told, name
        assert len(told) > 100, name


def test_importing_it_is_cheap() -> None:
    """No HTTP, no Redis, no settings, no loop and no thread come along."""
    code = (
        "import sys, threading; before = set(sys.modules); import shared; "
        "heavy = {'aiohttp', 'redis', 'pydantic', 'structlog', 'asyncio', 'openai', 'logging'}; "
        "assert not heavy & (set(sys.modules) - before), heavy & set(sys.modules); "
        "assert threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_window_is_what_an_http_handler_is_sent() -> None:
    """The same JSON, by ``json`` and by orjson, for every field there is."""
    window, sent = window_of(FULL), call_to_dict(FULL)
    assert json.loads(json.dumps(window)) == sent == orjson.loads(orjson.dumps(window))
    assert copy.deepcopy(window) == sent
    assert type(copy.deepcopy(window).messages[0]) is Message


def test_every_field_is_an_attribute() -> None:
    """Of the window, its messages, their media and groups; and nothing else is documented."""
    window = window_of(FULL)
    message = window.messages[0]
    for fields in (window, message, message["media"], message["group"]):
        assert set(type(fields).__annotations__) == set(fields)
        for name, value in fields.items():
            assert getattr(fields, name) is value
    assert (window.id, window.text, window.attempt) == (FULL.window.id, "hi\nthere", 2)
    assert message.media is not None
    assert message.media.mime == "image/png"
    assert message.group is not None
    assert message.group.author == "a-1"
    for name in Window.__annotations__ | Message.__annotations__:
        assert name in str(Window.__doc__) + str(Message.__doc__)


def test_what_a_message_lacks_is_none() -> None:
    """As an attribute; as an item it is not there, as in JSON."""
    (message,) = window_of(make_call()).messages
    absent = set(Message.__annotations__) - set(message)
    assert absent == {"media", "quoted", "name", "group", "raw"}
    assert [getattr(message, name) for name in absent] == [None] * 5


def test_a_misspelt_field_says_which_there_are() -> None:
    """It is an error, and not None."""
    window: Any = window_of(make_call())
    with pytest.raises(AttributeError, match="Window has no 'txet'; it has window_id, instance"):
        _ = window.txet
    with pytest.raises(AttributeError):
        window.txet = "lost"


def test_the_window_is_the_functions_own() -> None:
    """What a function changes in it, another attempt does not see."""
    window = window_of(FULL)
    window.messages[0]["raw"]["to"].append("changed")
    window.messages.clear()
    assert window_of(FULL) == call_to_dict(FULL)


def test_a_window_for_a_test_is_written_in_a_line() -> None:
    """As its docstring shows."""
    window = Window(text="hi", messages=[Message(text="hi")])
    assert (window.text, window.messages[0].text, window.messages[0].media) == ("hi", "hi", None)


def test_a_reply_takes_its_texts_first() -> None:
    """Without their name, too."""
    assert Reply(("a", "b")) == Reply(texts=("a", "b"))


@pytest.mark.parametrize(
    "error, after_ms",
    [
        (RetryLater(), None),
        (RetryLater("busy"), None),
        (RetryLater(30), 30_000),
        (RetryLater(after_s=0.0001), 1),
        (RetryLater(30, "busy"), 30_000),
        (RetryLater(after_s=30, message="busy", after_ms=1), 30_000),
        (RetryLater(-1), 0),
        (RetryLater(float("inf")), AFTER_MAX_S * 1000),
        (RetryLater(10**400), AFTER_MAX_S * 1000),
    ],
)
def test_the_time_that_was_asked_for(error: RetryLater, after_ms: int | None) -> None:
    """In ms, rounded up; without one it is the backoff's."""
    judged = judge_exception(error)
    assert isinstance(judged, Retry)
    assert judged.after_ms == after_ms
    assert judged.error in ("RetryLater: busy", "RetryLater: the handler asked for a retry")


@pytest.mark.parametrize("after_s", [True, float("nan"), b"5", [5]])
def test_no_number_of_seconds_fails_the_attempt(after_s: Any) -> None:
    """And says so beside the function's own message."""
    judged = judge_exception(RetryLater(after_s, "busy"))
    assert judged == Retry(error="after_s is no number of seconds: RetryLater: busy")
