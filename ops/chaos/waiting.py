"""Waiting for a condition with a deadline; never for a time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

LIMIT_S = 10.0
POLL_S = 0.01


class NotInTimeError(AssertionError):
    """What was waited for did not come true before the deadline."""


def wait_until(condition: Callable[[], object], what: str, limit_s: float = LIMIT_S) -> None:
    """Poll ``condition`` until it is true; fail with ``what`` was waited for after ``limit_s``."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise NotInTimeError(f"not within {limit_s:g} s: {what}")
        time.sleep(POLL_S)


async def eventually(
    condition: Callable[[], object | Awaitable[object]], what: str, limit_s: float = LIMIT_S
) -> None:
    """``wait_until`` inside an event loop; ``condition`` may be async."""
    deadline = time.monotonic() + limit_s
    while True:
        result = condition()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return
        if time.monotonic() > deadline:
            raise NotInTimeError(f"not within {limit_s:g} s: {what}")
        await asyncio.sleep(POLL_S)
