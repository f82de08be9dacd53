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
from shared.keys import Keys
from shared.metrics import IngestMetrics
from shared.pipe import Pipe
from shared.settings import Settings


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
async def serving_console(
    settings: Settings, reads: Pipe, keys: Keys, metrics: IngestMetrics
) -> AsyncIterator[ConsoleRoutes]:
    """What answers as long as the block."""
    views = Views(reads, keys, settings, metrics)
    async with asyncio.TaskGroup() as group:
        collector = Collector(views.looks(), group, away=views.away)
        try:
            yield ConsoleRoutes(
                open=page_routes(),
                staff=ConsoleStream(collector).routes(),
                end_streams=collector.close,
            )
        finally:
            collector.close()
