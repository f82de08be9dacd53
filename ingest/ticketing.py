"""The tickets' part of ingest, put together from the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from ingest.ticket_counts import TicketCounts
from ingest.tickets import TicketsApi
from shared.connect import Pipe
from shared.durability import Durability
from shared.metrics import IngestMetrics
from shared.service import in_background
from shared.settings import Settings
from shared.tickets import Tickets

TIMEOUT_MS = 2000
"""As for all of ingest: nobody who stands at a door waits longer for an answer."""

LOOK_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketRoutes:
    """Those for whoever comes to a clinic, and those for who has the token."""

    open: list[web.RouteDef]
    staff: list[web.RouteDef]


@asynccontextmanager
async def serving_tickets(
    settings: Settings, redis_url: str, reads: Pipe, metrics: IngestMetrics
) -> AsyncIterator[TicketRoutes]:
    """
    What answers as long as the block; ``reads`` is a connection that somebody runs.

    A number is as durable as ``DURABILITY`` says before it is told.
    """
    durable = Durability.parse(settings.durability)
    writes = Pipe(redis_url, timeout_ms=TIMEOUT_MS, name="tickets", durability=durable)
    tickets = Tickets.for_settings(settings, writes, reads=reads)
    counts = TicketCounts(tickets, metrics, settings.metrics_instances)
    api = TicketsApi(tickets, counts)
    async with in_background(tickets=writes.run(), queues=counts.keep_looking(LOOK_S)):
        yield TicketRoutes(open=api.open_routes(), staff=api.staff_routes())
