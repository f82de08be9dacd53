"""Handlers that benches give to the worker."""

from __future__ import annotations

from typing import Any


async def silence(_request: dict[str, Any]) -> None:
    """Answer nothing, at once: what is left is the worker's own cost."""
