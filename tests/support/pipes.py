"""A connection of the product's own kind, for tests of what speaks through one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from shared.connect import Pipe


@asynccontextmanager
async def running_pipe(url: str, timeout_ms: int = 10_000) -> AsyncIterator[Pipe]:
    """A ``Pipe`` whose task runs as long as the block."""
    pipe = Pipe(url, timeout_ms=timeout_ms, name="test")
    task = asyncio.create_task(pipe.run(), name="test-pipe")
    try:
        yield pipe
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
