"""Functions that tests name in ``HANDLER=python:tests.support.functions:<name>``."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import Any

from shared import Reject, Reply, RetryLater, Window

calls: list[tuple[str, int, str]] = []
"""What was called: text, attempt, and the thread it ran in. A test clears it first."""

gate = threading.Event()
"""What ``hang`` waits for."""


opened = asyncio.Event()
"""What ``wait`` waits for. A test that uses it puts one of its own here."""


def _note(window: dict[str, Any]) -> str:
    text: str = window["text"]
    calls.append((text, window["attempt"], threading.current_thread().name))
    return text


def block(window: dict[str, Any]) -> str:
    """Block the thread for a moment, then answer."""
    text = _note(window)
    time.sleep(0.05)
    return f"you said {text}"


async def fail_once(window: dict[str, Any]) -> str:
    """Raise at the first attempt."""
    _note(window)
    if window["attempt"] == 1:
        raise RuntimeError("not today")
    return "done"


async def reject(window: dict[str, Any]) -> str:
    """Say that the window can never be answered."""
    _note(window)
    raise Reject("no such customer")


def hang(window: dict[str, Any]) -> str:
    """Wait until ``gate`` is opened."""
    _note(window)
    gate.wait(10)
    return "late"


async def wait(window: dict[str, Any]) -> str:
    """Wait until ``opened`` is set, but for who says "quick"."""
    text = _note(window)
    if text != "quick":
        await opened.wait()
    return text


async def ignore_cancellation(window: dict[str, Any]) -> str:
    """Go on whatever happens, until ``gate`` is opened."""
    text = _note(window)
    while not gate.is_set():
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.02)
    return text


async def later(window: Window) -> Reply:
    """Ask for a second's time at the first attempt, then answer twice."""
    _note(window)
    if window.attempt == 1:
        raise RetryLater(1, "the books are closed")
    return Reply(("one", "two"))
