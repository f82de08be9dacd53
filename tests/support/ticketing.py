"""A server with queues, and what is asked of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ingest.ticket_counts import TicketCounts
from ingest.tickets import TicketsApi
from shared.metrics import IngestMetrics, InstanceLabels
from shared.settings import Settings
from shared.tickets import Tickets
from tests.support.ingest_server import Answer, IngestServer, serving

TOKEN = {"Authorization": "Bearer s3cret"}
CLINIC = "north-wing"
ANN = "ann"
QUEUE = "/api/v1/queue"


def ticket_api(tickets: Tickets, metrics: IngestMetrics | None = None) -> TicketsApi:
    """The endpoints, counted in ``metrics``, if there are any."""
    counted = metrics or IngestMetrics(InstanceLabels(1))
    return TicketsApi(tickets, TicketCounts(tickets, counted, labels_max=100))


@asynccontextmanager
async def ticket_server(
    tickets: Tickets, settings: Settings | None = None, metrics: IngestMetrics | None = None
) -> AsyncIterator[IngestServer]:
    """With a token, unless ``settings`` say otherwise."""
    api = ticket_api(tickets, metrics)
    async with serving(
        settings or Settings(api_token="s3cret"),
        routes=api.staff_routes(),
        open_routes=api.open_routes(),
    ) as running:
        yield running


async def enter(server: IngestServer, user: str, key: str | None = None, **more: Any) -> Answer:
    """Without token: whoever comes to a clinic has none."""
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"clinic": CLINIC, "user": user, **more}
    return await server.post(f"{QUEUE}/enter", body, headers=headers)


async def staff(server: IngestServer, verb: str, key: str | None = None) -> Answer:
    """``done`` or ``reset``, with the token."""
    headers = TOKEN if key is None else {**TOKEN, "Idempotency-Key": key}
    return await server.post(f"{QUEUE}/{verb}", {"clinic": CLINIC}, headers=headers)


async def status(server: IngestServer, query: str = f"clinic={CLINIC}") -> Answer:
    """Without token, too."""
    return await server.request("GET", f"{QUEUE}/status?{query}")
