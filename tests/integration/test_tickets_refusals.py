"""Tickets over HTTP: who may do what, what is refused, and how a lost answer is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable, InturnError, NotConnected, NotDurable
from shared.settings import Settings
from shared.tickets import Tickets
from tests.support.ingest_server import IngestServer
from tests.support.ticketing import ANN, CLINIC, QUEUE, enter, staff, status, ticket_server


@pytest.fixture
async def server(tickets: Tickets) -> AsyncIterator[IngestServer]:
    """A server with a token."""
    async with ticket_server(tickets) as running:
        yield running


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
    assert (await staff(server, "reset", "k")).json["last"] == 0
    await enter(server, ANN)
    for _ in range(2):
        assert (await staff(server, "reset", "k")).json["last"] == 1


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
