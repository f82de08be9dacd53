"""Tickets over HTTP: the fields that others rely on, who may do what, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ingest.ticket_counts import TicketCounts
from ingest.tickets import TicketsApi
from shared.connect import Pipe
from shared.metrics import IngestMetrics, InstanceLabels
from shared.settings import Settings
from shared.tickets import Tickets
from tests.support.ingest_server import Answer, IngestServer, serving

TOKEN = {"Authorization": "Bearer s3cret"}
CLINIC, ANN = "north-wing", "ann"
QUEUE = "/api/v1/queue"


@asynccontextmanager
async def ticket_server(
    tickets: Tickets, settings: Settings | None = None
) -> AsyncIterator[IngestServer]:
    """With a token, unless ``settings`` say otherwise."""
    metrics = IngestMetrics(InstanceLabels(1))
    api = TicketsApi(tickets, TicketCounts(tickets, metrics, labels_max=100))
    async with serving(
        settings or Settings(api_token="s3cret"),
        routes=api.staff_routes(),
        open_routes=api.open_routes(),
    ) as running:
        yield running


@pytest.fixture
def tickets(pipe: Pipe, prefix: str) -> Tickets:
    """Open to all clinics, without a limit."""
    return Tickets(pipe, prefix)


@pytest.fixture
async def server(tickets: Tickets) -> AsyncIterator[IngestServer]:
    """A server with a token."""
    async with ticket_server(tickets) as running:
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


async def test_a_day_at_a_clinic(server: IngestServer) -> None:
    """Numbers, who is served, who waits: in the fields that are promised, and no others."""
    first, second = await enter(server, ANN), await enter(server, "bob")
    assert (first.status, second.status) == (200, 200)
    assert first.json == {
        "success": True,
        "clinic": CLINIC,
        "user": ANN,
        "number": 1,
        "ahead": 0,
        "waiting": 1,
        "already": False,
    }
    assert (second.json["number"], second.json["ahead"]) == (2, 1)
    called = (await staff(server, "done")).json
    assert called == {
        "success": True,
        "clinic": CLINIC,
        "serving": 1,
        "last": 2,
        "waiting": 1,
        "average_service_s": None,
        "estimated_wait_s": None,
    }
    assert (await staff(server, "done")).json["serving"] == 2
    told = (await status(server, f"clinic={CLINIC}&user={ANN}")).json
    average_s = told["average_service_s"]
    assert average_s >= 0
    assert told == {
        "clinic": CLINIC,
        "serving": 2,
        "last": 2,
        "waiting": 0,
        "average_service_s": average_s,
        "estimated_wait_s": average_s,
        "user": {"number": 1, "ahead": 0, "state": "served"},
    }
    assert (await staff(server, "done")).json["serving"] is None
    assert (await staff(server, "done")).json["serving"] is None
    assert (await staff(server, "reset")).json["last"] == 0
    assert (await enter(server, "bob")).json["number"] == 1
