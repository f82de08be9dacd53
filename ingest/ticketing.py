"""The tickets' part of ingest, put together from the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ingest.connections import connection_limit, open_files_limit
from ingest.events import EventsApi
from ingest.hub import Hub, Times, open_hub
from ingest.part_routes import PartRoutes
from ingest.ticket_counts import TicketCounts
from ingest.tickets import TicketsApi
from shared.connect import Pipe, pipe_to
from shared.durability import Durability
from shared.metrics import IngestMetrics
from shared.notices import Notices
from shared.service import in_background
from shared.settings import Settings
from shared.tickets import Tickets

TIMEOUT_MS = 2000
"""As for all of ingest: nobody who stands at a door waits longer for an answer."""

LOOK_S = 15.0


@asynccontextmanager
async def serving_tickets(
    settings: Settings, redis_url: str, reads: Pipe, metrics: IngestMetrics
) -> AsyncIterator[PartRoutes]:
    """
    What answers as long as the block, whoever comes to a clinic and its staff; ``reads`` is a
    connection that somebody runs.

    A number is as durable as ``DURABILITY`` says before it is told.
    """
    durable = Durability.parse(settings.durability)
    writes = pipe_to(redis_url, timeout_ms=TIMEOUT_MS, name="tickets", durability=durable)
    tickets = Tickets.for_settings(settings, writes, reads=reads)
    counts = TicketCounts(tickets, metrics, settings.metrics_instances)
    api = TicketsApi(tickets, counts)
    most = listeners_limit(settings.ticket_listeners_max, open_files_limit())
    async with (
        in_background(tickets=writes.run(), queues=counts.keep_looking(LOOK_S)),
        telling_changes(tickets, redis_url, metrics) as hub,
    ):
        yield PartRoutes(
            open=[*api.open_routes(), *EventsApi(tickets, hub, most).routes()],
            staff=api.staff_routes(),
            end_streams=hub.close,
        )


def listeners_limit(wanted: int, files: int) -> int:
    """
    How many streams a process may hold open that may open ``files`` files.

    They keep their connections for minutes, and none of them makes room for another client: half
    of all connections stay free for webhooks, whatever is set.
    """
    return min(wanted, connection_limit(files) // 2)


@asynccontextmanager
async def telling_changes(
    tickets: Tickets, redis_url: str, metrics: IngestMetrics, times: Times | None = None
) -> AsyncIterator[Hub]:
    """A hub that hears of changes, as long as the block."""
    async with open_hub(tickets, metrics, times) as hub:
        notices = Notices(
            redis_url,
            tickets.channel,
            timeout_ms=TIMEOUT_MS,
            name="notices",
            wanted=hub.has_listeners,
            on_notice=hub.notice,
            on_begin=hub.look_again,
        )
        async with in_background(notices=notices.run()):
            yield hub
