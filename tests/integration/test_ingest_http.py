"""``POST /api/v1/messages`` and the endpoints beside it, over a real connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from shared.errors import (
    BacklogFull,
    BrokerRefused,
    BrokerUnavailable,
    InturnError,
    SpoolUnavailable,
)
from shared.settings import Settings
from tests.support.ingest_server import NOW_MS, IngestServer, serving
from tests.support.let_go import left_of

API = "/api/v1/messages"
GOOD = {"instance": "sales", "user": "u1", "text": "hi"}


@pytest.fixture
async def server() -> AsyncIterator[IngestServer]:
    """A server without token, which serves this machine."""
    async with serving() as running:
        yield running


async def test_a_message_is_accepted_with_its_entry_id(server: IngestServer) -> None:
    """202 comes when the message is kept, with the id under which it is kept."""
    answer = await server.post(API, {**GOOD, "message_id": "m1", "sent_at": 1_700_000_000_000})

    assert answer.status == 202
    assert answer.json == {
        "accepted": [
            {"message_id": "m1", "entry_id": f"{NOW_MS}-0", "duplicate": False, "spooled": False}
        ]
    }
    [message] = server.appender.messages
    assert (message.instance, message.user, message.text) == ("sales", "u1", "hi")
    assert (message.sent_at, message.received_at) == (1_700_000_000_000, NOW_MS)


async def test_a_batch_keeps_its_order(server: IngestServer) -> None:
    """Answers stand in the order of the request's messages."""
    batch = [{**GOOD, "message_id": f"m{number}"} for number in range(1000)]

    answer = await server.post(API, {"messages": batch})

    assert [one["message_id"] for one in answer.json["accepted"]] == [
        one["message_id"] for one in batch
    ]


async def test_a_message_without_id_gets_one(server: IngestServer) -> None:
    """Two equal messages without id are two messages, each with an id of its own."""
    first, second = await server.post(API, GOOD), await server.post(API, GOOD)

    ids = {answer.json["accepted"][0]["message_id"] for answer in (first, second)}
    assert len(ids) == 2
    assert len(server.appender.messages) == 2


async def test_a_duplicate_is_said_to_be_one(server: IngestServer) -> None:
    """The same id again gives the first one's entry and is counted apart."""
    body = {**GOOD, "message_id": "m1"}

    first, second = await server.post(API, body), await server.post(API, body)

    assert second.json["accepted"][0]["duplicate"] is True
    assert second.json["accepted"][0]["entry_id"] == first.json["accepted"][0]["entry_id"]
    text = server.metrics.render().decode()
    labels = '{instance="sales",provider="api"}'
    assert f"inturn_messages_accepted_total{labels} 1.0" in text
    assert f"inturn_messages_duplicate_total{labels} 1.0" in text
    events = [line["event"] for line in server.logs]
    assert events.count("message.accepted") == events.count("message.duplicate") == 1


BAD: list[tuple[Any, str]] = [
    (b"", "invalid_json"),
    (b"{", "invalid_json"),
    (b'{"instance": "\xff"}', "invalid_json"),
    (b'{"instance": "\\ud800"}', "missing_field: user"),  # half a pair is read as U+FFFD
    (b"[" * 2000 + b"]" * 2000, "json_too_deep"),
    (b'{"messages": ' + b"[" * 70 + b"]" * 70 + b"}", "json_too_deep"),
    (b"[" + b"[]," * 600_000 + b"[]]", "json_too_large"),
    ([], "JSON object"),
    ("text", "JSON object"),
    (None, "JSON object"),
    ({}, "missing_field: instance"),
    ({"instance": "a", "text": "x"}, "missing_field: user"),
    ({"instance": "a", "user": "u"}, "missing_field: text"),
    ({**GOOD, "instance": None}, "instance is missing"),
    ({**GOOD, "instance": 5}, "instance must be a text"),
    ({**GOOD, "instance": "x" * 129}, "instance must have 1 to 128"),
    ({**GOOD, "instance": "a\nb"}, "instance must have"),
    ({**GOOD, "user": ["u"]}, "user must be a text"),
    ({**GOOD, "user": ""}, "user must not be empty"),
    ({**GOOD, "user": " "}, "user must not be blank"),
    ({**GOOD, "user": "a\0b"}, "user must not be blank or hold control"),
    ({**GOOD, "text": 5}, "text must be a text"),
    ({**GOOD, "text": ""}, "text must not be empty"),
    ({**GOOD, "message_id": 5}, "message_id must be a text"),
    ({**GOOD, "message_id": "x" * 513}, "message_id must not exceed 512"),
    ({**GOOD, "sent_at": "now"}, "sent_at must be a whole number of milliseconds"),
    ({**GOOD, "sent_at": 1.5}, "sent_at"),
    ({**GOOD, "sent_at": True}, "sent_at"),
    ({**GOOD, "sent_at": -1}, "sent_at"),
    ({**GOOD, "sent_at": 10**30}, "sent_at"),
    ({**GOOD, "kind": "smell"}, "kind must be one of text, image"),
    ({**GOOD, "media": "x"}, "media must be a JSON object"),
    ({**GOOD, "media": {"size_bytes": "big"}}, "media.size_bytes must be"),
    ({**GOOD, "media": {"data": "not base64!"}}, "media.data must be base64"),
    ({**GOOD, "media": {"omitted": "yes"}}, "media.omitted must be true or false"),
    ({**GOOD, "media": {"what": 1}}, "media.what is not known"),
    ({**GOOD, "sentat": 5}, "unknown_field: sentat"),
    ({"messages": {}}, "messages must be a list"),
    ({"messages": []}, "messages must be a list with at least one"),
    ({"messages": [GOOD], "user": "u"}, "unknown_field: user"),
    ({"messages": [GOOD, 5]}, "messages[1] must be"),
    ({"messages": [GOOD, GOOD, {**GOOD, "user": 7}]}, "messages[2].user must be"),
    ({"messages": [{**GOOD, "media": {"url": 1}}]}, "messages[0].media.url must be"),
]


@pytest.mark.parametrize("body, named", BAD)
async def test_bad_input_is_refused_by_field(
    server: IngestServer, caplog: pytest.LogCaptureFixture, body: Any, named: str
) -> None:
    """400 names the field; nothing is stored, and nothing above a warning is logged."""
    answer = await server.post(API, body)

    assert answer.status == 400
    assert named in answer.error
    assert server.appender.messages == []
    assert server.worst_logged() == []
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


async def test_one_message_too_many_refuses_the_request(server: IngestServer) -> None:
    """More than 1000 messages are 413 before any of them is looked at."""
    answer = await server.post(API, {"messages": [0] * 1001})

    assert answer.status == 413
    assert "messages: more than 1000" in answer.error
    assert server.appender.messages == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_a_wrong_method_is_refused_in_json(server: IngestServer, method: str) -> None:
    """405 says which method is right, in the form of every other error."""
    answer = await server.request(method, API)

    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"
    assert "method_not_allowed" in answer.error


async def test_an_unknown_path_is_refused_in_json(server: IngestServer) -> None:
    """404 has the form of every other error and does not repeat the path."""
    answer = await server.post("/webhoooks/evolution/s3cret", GOOD)

    assert answer.status == 404
    assert answer.error.startswith("not_found")
    assert not any("s3cret" in str(line) for line in server.logs)


@pytest.mark.parametrize(
    "failure, code",
    [
        (BrokerUnavailable("no answer"), "unavailable"),
        (BrokerRefused("OOM", "out of memory"), "unavailable"),
        (SpoolUnavailable("full"), "spool_unavailable"),
        (BacklogFull(1000), "backlog_full"),
    ],
)
async def test_what_cannot_be_kept_is_not_accepted(
    server: IngestServer, failure: InturnError, code: str
) -> None:
    """503 asks the sender to send again, and an outage is no error in the log."""
    server.appender.failure = failure

    answer = await server.post(API, GOOD)

    assert answer.status == 503
    assert answer.error.startswith(f"{code}:")
    assert int(answer.headers["Retry-After"]) > 0
    counted = f'inturn_requests_refused_total{{reason="{code}"}} 1.0'
    assert counted in server.metrics.render().decode()
    assert server.worst_logged() == []


async def test_a_bug_is_answered_without_its_detail(server: IngestServer) -> None:
    """An exception that nobody expected is 500, logged as an error, and tells callers nothing."""

    async def fail(_messages: object) -> list[Any]:
        raise LookupError("inner detail")

    server.appender.append = fail  # type: ignore[method-assign, assignment]

    answer = await server.post(API, GOOD)

    assert answer.status == 500
    assert answer.error == "internal: internal error"
    assert [line["event"] for line in server.worst_logged()] == ["request.failed"]


async def test_readiness_says_what_is_wrong(server: IngestServer) -> None:
    """``/readyz`` is 200, or 503 with the sentence; ``/healthz`` stays 200."""
    assert (await server.request("GET", "/readyz")).status == 200

    server.problem[0] = "Redis refuses writes: OOM"

    answer = await server.request("GET", "/readyz")
    assert answer.status == 503
    assert answer.json["error"]["message"] == "Redis refuses writes: OOM"
    assert (await server.request("GET", "/healthz")).status == 200


async def test_refusals_are_counted_by_reason(server: IngestServer) -> None:
    """``/metrics`` tells how many requests were refused, and why."""
    await server.post(API, b"{")

    text = (await server.request("GET", "/metrics")).body.decode()

    assert 'inturn_requests_refused_total{reason="invalid_json"} 1.0' in text
    assert 'inturn_request_seconds_count{route="/api/v1/messages"} 1.0' in text


async def test_health_and_metrics_need_no_token() -> None:
    """Probes and Prometheus carry no token."""
    async with serving(Settings(api_token="s3cret")) as server:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await server.request("GET", path)).status == 200


FIELDS = st.sampled_from(
    ["messages", "instance", "user", "text", "message_id", "sent_at", "kind", "media", "data"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("text"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=6),
    max_leaves=12,
)
BODIES = st.binary(max_size=200) | VALUES | st.fixed_dictionaries({"messages": st.lists(VALUES)})


def test_no_body_makes_the_server_fail() -> None:
    """Whatever is posted, the answer is 202 or 4xx, in a known form, and logs no error."""
    with asyncio.Runner() as runner:
        context = serving()
        server = runner.run(context.__aenter__())

        @given(BODIES)
        @effort(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
        def post(body: Any) -> None:
            answer = runner.run(server.post(API, body))
            assert answer.status == 202 or 400 <= answer.status < 500
            assert "accepted" in answer.json or answer.error
            assert server.worst_logged() == []

        try:
            post()
        finally:
            runner.run(context.__aexit__(None, None, None))


async def test_a_request_that_failed_is_let_go_at_once(server: IngestServer) -> None:
    """What strangers ask for does not stay in memory until the collector comes by."""
    with left_of(web.Request) as left:
        for _ in range(5):
            assert (await server.request("GET", "/queue/")).status == 404
        assert (await server.request("GET", "/healthz")).status == 200
        assert len(left()) <= 1  # an open connection knows its last one
