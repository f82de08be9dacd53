"""Tickets over HTTP: the fields that others rely on, who may do what, and what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable, InturnError, NotConnected, NotDurable
from shared.metrics import IngestMetrics, InstanceLabels
from shared.settings import Settings
from shared.tickets import Tickets
from tests.support.ingest_server import IngestServer
from tests.support.ticketing import CLINIC, QUEUE, enter, staff, status, ticket_server

ANN = "ann"


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


async def test_a_key_of_another_user_is_refused(server: IngestServer) -> None:
    """Nobody gets a number that somebody else has, by a slip of a client."""
    await enter(server, ANN, "k1")
    answer = await enter(server, "bob", "k1")
    assert answer.status == 409
    assert answer.error.startswith("key_taken")
    assert (await status(server)).json["last"] == 1


async def test_a_repeated_done_or_reset_with_its_key_acts_once(server: IngestServer) -> None:
    """Nobody is skipped, and no day is ended that has just begun."""
    for user in (ANN, "bob", "cid"):
        await enter(server, user)
    for _ in range(2):
        assert (await staff(server, "done", "k")).json["serving"] == 1
    assert (await staff(server, "done", "k2")).json["serving"] == 2
    for _ in range(2):
        assert (await staff(server, "reset", "k")).json["last"] == 0
    await enter(server, ANN)
    assert (await staff(server, "reset", "k")).json["last"] == 1


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


@pytest.mark.parametrize("verb", ["done", "reset"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
async def test_only_staff_calls_and_resets(
    server: IngestServer, verb: str, headers: dict[str, str]
) -> None:
    """Without the token nothing changes, and the answer says nothing."""
    await enter(server, ANN)
    answer = await server.post(f"{QUEUE}/{verb}", {"clinic": CLINIC}, headers=headers)
    assert answer.status == 401
    told = (await status(server)).json
    assert (told["serving"], told["last"]) == (None, 1)


async def test_without_a_token_all_is_for_this_machine_alone(tickets: Tickets) -> None:
    """A tunnel opens nothing that nobody has set a token for."""
    tunnel = {"X-Forwarded-For": "203.0.113.9"}
    async with ticket_server(tickets, Settings()) as server:
        body = {"clinic": CLINIC, "user": ANN}
        refused = await server.post(f"{QUEUE}/enter", body, headers=tunnel)
        assert (refused.status, "INTURN_API_TOKEN" in refused.error) == (401, True)
        path = f"{QUEUE}/status?clinic={CLINIC}"
        assert (await server.request("GET", path, headers=tunnel)).status == 401
        assert (await server.post(f"{QUEUE}/enter", body)).status == 200
        assert (await server.post(f"{QUEUE}/done", {"clinic": CLINIC})).status == 200


@pytest.mark.parametrize(
    "body, code, field",
    [
        ({"user": "ann"}, "missing_field", "clinic"),
        ({"clinic": "c"}, "missing_field", "user"),
        ({"clinic": None, "user": "ann"}, "missing_field", "clinic"),
        ({"clinic": "", "user": "ann"}, "invalid_field", "clinic"),
        ({"clinic": "c", "user": ""}, "invalid_field", "user"),
        ({"clinic": "c", "user": "  "}, "invalid_field", "user"),
        ({"clinic": "c", "user": "x" * 10_000}, "invalid_field", "user"),
        ({"clinic": "c" * 129, "user": "ann"}, "invalid_field", "clinic"),
        ({"clinic": "c", "user": "a\u0000b"}, "invalid_field", "user"),
        ({"clinic": "c\n", "user": "ann"}, "invalid_field", "clinic"),
        ({"clinic": 7, "user": "ann"}, "invalid_field", "clinic"),
        ({"clinic": "c", "user": ["ann"]}, "invalid_field", "user"),
        ({"clinic": "c", "user": "ann", "urgent": True}, "unknown_field", "clinic, user"),
        (["c", "ann"], "invalid_field", "object"),
        (b"{", "invalid_json", "JSON"),
        (b"", "invalid_json", "JSON"),
    ],
)
async def test_what_cannot_be_a_number_for_anybody_is_refused(
    server: IngestServer, body: Any, code: str, field: str
) -> None:
    """400 that names the field."""
    answer = await server.post(f"{QUEUE}/enter", body)
    assert answer.status == 400
    told, _, message = answer.error.partition(": ")
    assert told == code
    assert field in message


@pytest.mark.parametrize(
    "query, code",
    [
        ("", "missing_field"),
        ("user=ann", "missing_field"),
        ("clinic=", "invalid_field"),
        ("clinic=a&clinic=b", "invalid_field"),
        ("clinic=a&user=", "invalid_field"),
        ("clinic=a&user=b&user=c", "invalid_field"),
        (f"clinic=a&user={'x' * 257}", "invalid_field"),
        (f"clinic={'x' * 129}", "invalid_field"),
        ("clinic=%00", "invalid_field"),
    ],
)
async def test_a_bad_question_is_refused(server: IngestServer, query: str, code: str) -> None:
    """400, for status; days is as strict about its clinic."""
    answer = await status(server, query)
    assert (answer.status, answer.error.partition(": ")[0]) == (400, code)
    if "user" not in query:
        assert (await server.request("GET", f"{QUEUE}/days?{query}")).status == 400


@pytest.mark.parametrize("key", ["", "k" * 257])
async def test_a_key_that_is_none_is_refused(server: IngestServer, key: str) -> None:
    """So is one that came twice."""
    assert (await enter(server, ANN, key)).status == 400
    assert (await staff(server, "done", key)).status == 400
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    body = {"clinic": CLINIC, "user": ANN}
    assert (await server.post(f"{QUEUE}/enter", body, headers=twice)).status == 400
    assert (await status(server)).json["last"] == 0


@pytest.mark.parametrize(
    "method, verb, allowed",
    [
        ("GET", "enter", "POST"),
        ("PUT", "enter", "POST"),
        ("GET", "done", "POST"),
        ("DELETE", "reset", "POST"),
        ("POST", "status", "GET, HEAD"),
        ("POST", "days", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_the_right_one(
    server: IngestServer, method: str, verb: str, allowed: str
) -> None:
    """405, also to who has no token."""
    answer = await server.request(method, f"{QUEUE}/{verb}")
    assert answer.status == 405
    assert answer.error.startswith("method_not_allowed")
    assert answer.headers["Allow"] == allowed


async def test_an_unlisted_clinic_is_unknown_where_they_are_listed(pipe: Pipe, prefix: str) -> None:
    """404 to whatever is asked of it."""
    async with ticket_server(Tickets(pipe, prefix, clinics=["east"])) as server:
        answers = [
            await enter(server, ANN),
            await status(server),
            await staff(server, "done"),
            await staff(server, "reset"),
            await server.request("GET", f"{QUEUE}/days?clinic={CLINIC}"),
        ]
        assert (await enter(server, ANN, clinic="east")).json["number"] == 1
    assert [answer.status for answer in answers] == [404] * 5
    assert {answer.error.partition(": ")[0] for answer in answers} == {"unknown_clinic"}


async def test_a_full_queue_says_so(pipe: Pipe, prefix: str) -> None:
    """409, and nobody loses the number that they have."""
    async with ticket_server(Tickets(pipe, prefix, waiting_max=1)) as server:
        await enter(server, ANN)
        answer = await enter(server, "bob")
        assert answer.status == 409
        assert answer.error.startswith("queue_full")
        assert (await enter(server, ANN)).json["already"]


@pytest.mark.parametrize("verb", ["enter", "done", "reset"])
@pytest.mark.parametrize(
    "failure",
    [
        BrokerUnavailable("no answer"),
        NotDurable("too few"),
        NotConnected("refused"),
        BrokerRefused("OOM", "full"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_a_lost_answer_is_told_as_what_it_is(
    server: IngestServer,
    tickets: Tickets,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    failure: InturnError,
) -> None:
    """503: entering may be sent again; of a call nobody knows whether somebody was called."""

    async def fail(*_args: object) -> None:
        raise failure

    monkeypatch.setattr(tickets, verb, fail)
    answer = await (enter(server, ANN) if verb == "enter" else staff(server, verb))
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    is_known = verb == "enter" or isinstance(failure, NotConnected | BrokerRefused)
    assert answer.error.partition(": ")[0] == ("unavailable" if is_known else "outcome_unknown")


async def test_names_stay_text(server: IngestServer) -> None:
    """What looks like markup, or is no Latin, comes back as it was sent, as JSON."""
    for user in ("<script>alert(1)</script>", "أحمد", "a&b=c", 'x"y', "{{7*7}}", "O'Neil; --"):
        answer = await enter(server, user, clinic="<b>")
        assert (answer.json["user"], answer.json["clinic"]) == (user, "<b>")
        assert answer.headers["Content-Type"].startswith("application/json")


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
