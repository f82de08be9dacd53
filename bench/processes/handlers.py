"""Handlers that benches give to the worker."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

SLOW_S = 0.05

_released: asyncio.Event | None = None


async def silence(_request: dict[str, Any]) -> None:
    """Answer nothing, at once: what is left is the worker's own cost."""


async def slow(_request: dict[str, Any]) -> None:
    """Answer nothing, after as long as a quick service takes."""
    await asyncio.sleep(SLOW_S)


def blocking(_request: dict[str, Any]) -> None:
    """The same, as a function that blocks."""
    time.sleep(SLOW_S)


async def held(_request: dict[str, Any]) -> None:
    """Answer nothing, once the process gets SIGUSR1."""
    global _released  # noqa: PLW0603  one event for all calls
    if _released is None:
        _released = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _released.set)
    await _released.wait()


async def reply(_request: dict[str, Any]) -> str:
    """Answer with a short text."""
    return "yes, until six"
