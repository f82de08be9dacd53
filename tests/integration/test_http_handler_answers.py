"""The HTTP handler against a real endpoint: what each answer, and the lack of one, means."""

from __future__ import annotations

import gzip
import socket
from email.utils import formatdate

import pytest

from shared.model import Media, Rejected, Reply, Result, Retry, Silence, Unavailable
from tests.support.handler_server import Answer, HandlerServer
from tests.support.http_handler import handler_to, raw_endpoint, result_of, unused_port
from tests.support.windows import make_call

PASSWORD = "hunter2-4711"

ANSWERS: list[tuple[Answer, Result]] = [
    (Answer(status=204), Silence(reason="answered 204")),
    (Answer(status=202), Silence(reason="empty answer")),
    (Answer.reply("a", "b"), Reply(texts=("a", "b"))),
    (Answer(body=b"hi", content_type="text/plain"), Reply(texts=("hi",))),
    (Answer.json({"reply": "made"}, status=201), Reply(texts=("made",))),
    (
        Answer.json({"message": "Workflow was started"}),
        Silence(reason="no reply field; fields: message", unread=True),
    ),
    (
        Answer(body=b"<html>", content_type="text/html; charset=utf-8"),
        Retry(error="the answer is text/html, not text/plain or application/json"),
    ),
    (
        Answer(
            body=gzip.compress(b'{"reply": "packed"}'),
            content_type="application/json",
            headers={"Content-Encoding": "gzip"},
        ),
        Reply(texts=("packed",)),
    ),
]


@pytest.mark.parametrize("answer, expected", ANSWERS)
async def test_a_success_is_read(answer: Answer, expected: Result) -> None:
    """Each form of a 2xx is the reply, silence or error that the contract says."""
    assert await result_of(answer) == expected


STATUSES = [
    (400, Rejected, "400 Bad Request"),
    (401, Unavailable, "401 Unauthorized"),
    (403, Unavailable, "403 Forbidden"),
    (404, Unavailable, "404 Not Found"),
    (405, Retry, "405 Method Not Allowed"),
    (408, Retry, "408 Request Timeout"),
    (409, Retry, "409 Conflict"),
    (410, Unavailable, "410 Gone"),
    (413, Rejected, "413 "),
    (422, Rejected, "422 "),
    (425, Retry, "425 Too Early"),
    (429, Retry, "429 Too Many Requests"),
    (500, Retry, "500 Internal Server Error"),
    (501, Retry, "501 Not Implemented"),
    (502, Unavailable, "502 Bad Gateway"),
    (503, Unavailable, "503 Service Unavailable"),
    (504, Unavailable, "504 Gateway Timeout"),
    (521, Unavailable, "521"),
    (524, Retry, "524"),
    (530, Unavailable, "530"),
]


@pytest.mark.parametrize("status, kind, name", STATUSES)
async def test_a_failure_is_judged_by_its_status(status: int, kind: type, name: str) -> None:
    """Each status is the window's fault, the endpoint's or nobody's; the body is not repeated."""
    body = {"reply": "never sent", "password": PASSWORD}
    result = await result_of(Answer.json(body, status=status))
    assert type(result) is kind
    assert isinstance(result, Retry | Unavailable | Rejected)
    assert result.error.startswith(f"answered {name}")
    assert PASSWORD not in repr(result)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_retry_after_is_obeyed(status: int) -> None:
    """What the endpoint asks for arrives in ms, from seconds and from an HTTP date."""
    now_s = 1_700_000_000
    seconds = {"Retry-After": "7"}
    date = {
        "Retry-After": formatdate(now_s + 7, usegmt=True),
        "Date": formatdate(now_s, usegmt=True),
    }
    for headers in (seconds, date):
        result = await result_of(Answer(status=status, headers=headers))
        assert isinstance(result, Retry | Unavailable)
        assert result.after_ms == 7000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """The window goes to the configured URL only; a redirect is the endpoint's fault."""
    async with HandlerServer([Answer.reply("stolen")]) as other:
        answer = Answer(status=status, headers={"Location": other.url})
        result = await result_of(answer)
        assert isinstance(result, Unavailable)
        assert "redirect" in result.error
        assert other.calls == []


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_an_answer_has_a_largest_size(encoding: str) -> None:
    """An answer of 1 MiB is read, a larger one is an error, also when it is small on the wire."""

    def answer_of(size: int) -> Answer:
        body = b"a" * size
        return Answer(
            body=gzip.compress(body) if encoding == "gzip" else body,
            content_type="text/plain",
            headers={"Content-Encoding": encoding},
        )

    assert await result_of(answer_of(1024 * 1024)) == Reply(texts=("a" * 1024 * 1024,))
    error = Retry(error="the answer is larger than 1048576 bytes")
    assert await result_of(answer_of(1024 * 1024 + 1)) == error
    assert await result_of(answer_of(60 * 1024 * 1024)) == error


@pytest.mark.parametrize("body", [b"", b'{"reply": "half'])
async def test_an_answer_that_does_not_end_fails_in_time(body: bytes) -> None:
    """An endpoint that stops in the middle of its body costs the attempt, not the worker."""
    answer = Answer(body=body, content_type="application/json", stalls=True)
    assert await result_of(answer, timeout_ms=300) == Retry(error="no answer in time")


async def test_a_connection_cut_after_the_request_counts() -> None:
    """The endpoint may have done its work when it vanished, so it is an attempt."""
    result = await result_of(Answer(drops=True))
    assert isinstance(result, Retry)
    assert result.error.startswith("the connection failed: ")


async def test_a_body_cut_short_counts() -> None:
    """Half an answer is no answer, even where the half could be read."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\nhalf"
    async with raw_endpoint(answer) as url, handler_to(url) as handler:
        result = await handler.answer(make_call())
    assert result == Retry(error="the connection failed: ClientPayloadError")


async def test_a_refusal_before_the_whole_request_is_understood() -> None:
    """An endpoint that refuses a large window from its head alone is understood."""
    answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    media = Media(data="A" * 20_000_000)
    async with raw_endpoint(answer) as url, handler_to(url) as handler:
        result = await handler.answer(make_call(media=media))
    assert isinstance(result, Rejected)


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
async def test_no_connection_is_nobodys_attempt(host: str) -> None:
    """A refused connection and an unknown host are the endpoint's fault, and keep the URL out."""
    url = f"http://user:{PASSWORD}@{host}:{unused_port()}/?key={PASSWORD}"
    async with handler_to(url) as handler:
        result = await handler.answer(make_call())
    assert isinstance(result, Unavailable)
    assert result.error.startswith("no connection: ")
    assert PASSWORD not in result.error


async def test_a_connect_that_hangs_is_nobodys_attempt() -> None:
    """A host that takes no connections gives up at the connect timeout, before the whole one."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # The one place in the backlog is taken: the next connection waits for ever.
        with socket.create_connection(listener.getsockname(), timeout=5):
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            async with handler_to(url, timeout_ms=3000) as handler:
                result = await handler.answer(make_call())
    assert result == Unavailable(error="no connection: ConnectionTimeoutError")
