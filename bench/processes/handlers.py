"""Handlers that benches give to the worker."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

SLOW_S = 0.05
RELEASE_POLL_S = 0.02

_released: asyncio.Task[None] | None = None


async def silence(_request: dict[str, Any]) -> None:
    """Answer nothing, at once: what is left is the worker's own cost."""


async def slow(_request: dict[str, Any]) -> None:
    """Answer nothing, after as long as a quick service takes."""
    await asyncio.sleep(SLOW_S)


async def held(_request: dict[str, Any]) -> None:
    """Answer nothing, when the file that ``BENCH_RELEASE`` names is there."""
    global _released  # noqa: PLW0603  one watcher for all calls
    if _released is None:
        _released = asyncio.create_task(_wait_for(Path(os.environ["BENCH_RELEASE"])))
    await asyncio.shield(_released)


async def _wait_for(path: Path) -> None:
    while not path.exists():  # noqa: ASYNC110, ASYNC240  another process writes it
        await asyncio.sleep(RELEASE_POLL_S)
