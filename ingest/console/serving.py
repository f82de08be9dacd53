"""The console's part of ingest, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ingest.console.collector import Collector
from ingest.console.page import page_routes
from ingest.console.stream import ConsoleStream
from ingest.console.views import Views
from ingest.part_routes import PartRoutes
from shared.keys import Keys
from shared.metrics import IngestMetrics
from shared.pipe import Pipe
from shared.settings import Settings


@asynccontextmanager
async def serving_console(
    settings: Settings, reads: Pipe, keys: Keys, metrics: IngestMetrics
) -> AsyncIterator[PartRoutes]:
    """What answers as long as the block; the open routes hold no data."""
    views = Views(reads, keys, settings, metrics)
    async with asyncio.TaskGroup() as group:
        collector = Collector(views.looks(), group, away=views.away)
        try:
            yield PartRoutes(
                open=page_routes(),
                staff=ConsoleStream(collector).routes(),
                end_streams=collector.close,
            )
        finally:
            collector.close()
