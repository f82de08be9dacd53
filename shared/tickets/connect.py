"""Tickets beside the chat: for a handler that is a Python function."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.connect import open_pipe
from shared.durability import Durability
from shared.home import find_redis_url
from shared.settings import Settings, load_settings
from shared.tickets.store import Tickets

TIMEOUT_MS = 2000


@asynccontextmanager
async def open_tickets(settings: Settings | None = None) -> AsyncIterator[Tickets]:
    """
    The queues over a connection of its own, as long as the block.

    ``settings`` None: those that the services of this process or folder run under, read anew.

    Raises:
        StartRefused: the settings are wrong, or nobody says where Redis is.
    """
    found = load_settings() if settings is None else settings
    async with open_pipe(
        find_redis_url(found),
        timeout_ms=TIMEOUT_MS,
        name="handler",
        durability=Durability.parse(found.durability),
    ) as pipe:
        yield Tickets.for_settings(found, pipe)
