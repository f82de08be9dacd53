"""The console's part of ingest, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from ingest.console.collector import Collector
from ingest.console.page import page_routes
from ingest.console.stream import ConsoleStream
from ingest.console.views import Views
from shared.connect import Pipe
from shared.keys import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleRoutes:
    """
    Those without data, and those for whoever has the token. ``end_streams`` ends at once what
    would else stay open for minutes.
    """

    open: list[web.RouteDef]
    staff: list[web.RouteDef]
    end_streams: Callable[[], None]


@asynccontextmanager
async def serving_console(reads: Pipe, keys: Keys) -> AsyncIterator[ConsoleRoutes]:
    """What answers as long as the block."""
    views = Views(reads, keys)
    async with asyncio.TaskGroup() as group:
        collector = Collector(views.looks(), group)
        try:
            yield ConsoleRoutes(
                open=page_routes(),
                staff=ConsoleStream(collector).routes(),
                end_streams=collector.close,
            )
        finally:
            collector.close()
