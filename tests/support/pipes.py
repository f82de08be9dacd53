"""A connection of the product's own kind, for tests of what speaks through one."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from shared.connect import Pipe, open_pipe


def running_pipe(url: str, timeout_ms: int = 10_000) -> AbstractAsyncContextManager[Pipe]:
    """A ``Pipe`` that runs as long as the block."""
    return open_pipe(url, timeout_ms=timeout_ms, name="test")
