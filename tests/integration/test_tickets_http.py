"""Tickets over HTTP: the fields that others rely on, what acts once, and what is told of users."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from shared.connect import Pipe
from shared.metrics import IngestMetrics, InstanceLabels
from shared.tickets import Tickets
from tests.support.ingest_server import IngestServer
from tests.support.ticketing import ANN, CLINIC, QUEUE, enter, staff, status, ticket_server


@pytest.fixture
async def server(tickets: Tickets) -> AsyncIterator[IngestServer]:
    """A server with a token."""
    async with ticket_server(tickets) as running:
        yield running


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


async def test_entering_again_while_waiting_or_being_served_gives_the_same_number(
    server: IngestServer,
) -> None:
    """After being served it is a new one, unless the request is known by its key."""
    assert (await enter(server, ANN, "k1")).json["number"] == 1
    again = (await enter(server, ANN)).json
    assert (again["number"], again["already"]) == (1, True)
    await staff(server, "done")
    assert (await enter(server, ANN, "k2")).json["number"] == 1
    await staff(server, "done")
    for key in ("k1", "k2"):
        known = (await enter(server, ANN, key)).json
        assert (known["number"], known["already"], known["ahead"]) == (1, True, 0)
    new = (await enter(server, ANN)).json
    assert (new["number"], new["already"]) == (2, False)


async def test_a_finished_day_stays_readable(server: IngestServer) -> None:
    """Under its date, without a user, and without token."""
    before = datetime.now(UTC).date()
    for user in (ANN, "bob", "cid"):
        await enter(server, user)
    await staff(server, "done")
    await staff(server, "done")
    await staff(server, "reset")
    answer = await server.request("GET", f"{QUEUE}/days?clinic={CLINIC}")
    assert answer.json["clinic"] == CLINIC
    (day,) = answer.json["days"]
    assert day["date"] in {str(before), str(datetime.now(UTC).date())}
    assert (day["last"], day["served"], day["unserved"]) == (3, 2, 1)
    assert day["average_service_s"] >= 0
    assert day["average_wait_s"] >= 0
    assert day["began_at"] < day["ended_at"]
    assert ANN not in answer.body.decode()
    assert (await status(server, f"clinic={CLINIC}&user={ANN}")).json["user"] == {
        "number": None,
        "ahead": None,
        "state": "unknown",
    }


async def test_logs_tell_no_user_and_no_made_up_clinic(pipe: Pipe, prefix: str) -> None:
    """Numbers are told; a clinic's name where it is one of ours."""
    for clinics, shown in (([], None), ([CLINIC], CLINIC)):
        async with ticket_server(Tickets(pipe, prefix, clinics=clinics)) as server:
            await enter(server, "planted-user", "planted-key")
            await staff(server, "done")
            await staff(server, "reset")
        told = {line["event"]: line for line in server.logs}
        assert {"ticket.entered", "ticket.called", "queue.reset"} <= told.keys()
        assert told["ticket.entered"]["clinic"] == shown
        assert told["ticket.called"]["number"] == 1
        assert "planted" not in repr(server.logs)


async def test_what_happens_is_counted(pipe: Pipe, prefix: str) -> None:
    """By clinic where they are listed, else all as one; a repetition counts nothing."""
    for clinics, label in (([], "other"), ([CLINIC], CLINIC)):
        metrics = IngestMetrics(InstanceLabels(1))
        tickets = Tickets(pipe, f"{prefix}-{label}", clinics=clinics)
        async with ticket_server(tickets, metrics=metrics) as server:
            for user in (ANN, "bob", "cid", ANN):
                await enter(server, user)
            await staff(server, "done")
            await staff(server, "done")
            text = metrics.render().decode()
        for line in (
            f'inturn_tickets_entered_total{{clinic="{label}"}} 3.0',
            f'inturn_tickets_served_total{{clinic="{label}"}} 1.0',
            f'inturn_tickets_waiting{{clinic="{label}"}} 1.0',
            f'inturn_ticket_wait_seconds_count{{clinic="{label}"}} 2.0',
        ):
            assert line in text
        assert ANN not in text
