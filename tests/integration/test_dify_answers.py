"""What the handler ``dify:`` makes of the answers of Dify's service API, and of none."""

from __future__ import annotations

import pytest

from shared.handlers.history import remember_thread
from shared.model import Kind, Rejected, Reply, Retry, Silence, Unavailable
from tests.support.dify_handler import DAY_MS, PHOTO, PIECES, app_at, ask
from tests.support.handler_server import Answer
from tests.support.http_handler import unused_port
from tests.support.models import CONVERSATION, chat_message, dify_error, dify_stream
from tests.support.windows import make_call


async def test_an_error_within_a_stream_is_judged_as_one() -> None:
    """The status of a stream is 200 long before the model fails."""
    failed = {"event": "error", "status": 400, "code": "completion_request_error", "message": "?"}
    result, _ = await ask([dify_stream([*PIECES[:2], failed])])
    assert result == Retry(error="answered 400 Bad Request: completion_request_error")


@pytest.mark.parametrize(
    "answer, result",
    [
        (dify_error(400, "invalid_param"), "Rejected 400 invalid_param"),
        (dify_error(400, "app_unavailable"), "Unavailable 400 app_unavailable"),
        (dify_error(400, "not_chat_app"), "Unavailable 400 not_chat_app"),
        (dify_error(400, "provider_not_initialize"), "Unavailable 400 provider_not_initialize"),
        (dify_error(400, "provider_quota_exceeded"), "Unavailable 400 provider_quota_exceeded"),
        (dify_error(400, "completion_request_error"), "Retry 400 completion_request_error"),
        (dify_error(401, "unauthorized"), "Unavailable 401"),
        (dify_error(404, "not_found"), "Unavailable 404 not_found"),
        (dify_error(429, "too_many_requests"), "Retry 429"),
        (dify_error(500, "internal_server_error"), "Retry 500"),
        (
            Answer(status=504, body=b"<html>hello</html>", content_type="text/html"),
            "Unavailable 504",
        ),
        (Answer(status=302, headers={"Location": "/v2"}), "Unavailable 302"),
    ],
)
async def test_a_status_means_what_it_means_to_others(answer: Answer, result: str) -> None:
    """An app that cannot answer anybody keeps its users' windows; a wrong window is given up."""
    found, calls = await ask([answer])
    assert len(calls) == 1
    kind, status, *code = result.split()
    assert type(found).__name__ == kind
    assert isinstance(found, Rejected | Unavailable | Retry)
    assert f"answered {status}" in found.error
    assert not code or found.error.endswith(f": {code[0]}")
    assert "hello" not in found.error
    assert "4917" not in found.error


async def test_retry_after_is_heard() -> None:
    """How long a rate limit lasts is Dify's to say."""
    answer = Answer(status=429, body=b"{}", headers={"Retry-After": "7"})
    found, _ = await ask([answer])
    assert found == Retry(error="answered 429 Too Many Requests", after_ms=7000)


@pytest.mark.parametrize(
    "answer, error",
    [
        (Answer(body=b"<html>", content_type="text/html"), "no chat message"),
        (Answer(body=b"{", content_type="application/json"), "no chat message"),
        (Answer.json([1]), "no chat message"),
        (Answer.json({"result": "success"}), "no chat message"),
        (chat_message(7), "text is int"),
        (chat_message("x" * 1_100_000), "larger than"),
        (dify_stream(PIECES[:-1]), "broke off"),
        (Answer(status=200, drops=True), "the connection failed"),
    ],
)
async def test_an_answer_that_is_none_is_tried_again(answer: Answer, error: str) -> None:
    """Wrong JSON, no JSON, half a stream or a cut connection never reach the user."""
    found, _ = await ask([answer])
    assert isinstance(found, Retry)
    assert error in found.error


async def test_an_upload_that_gives_no_id_is_tried_again() -> None:
    """A server that is something else is not asked for an answer."""
    call = make_call([""], kind=Kind.IMAGE, media=PHOTO)
    found, calls = await ask([Answer.json({"ok": True}, 201)], call)
    assert found == Retry(error="the answer to an upload has no id")
    assert len(calls) == 1
    limited, _ = await ask([Answer(status=429, body=b"{}")], call)
    assert limited == Retry(error="answered 429 Too Many Requests")


async def test_json_in_an_apps_text_is_read_out() -> None:
    """A flow that ends in JSON sends its reply alone."""
    found, _ = await ask([chat_message('{"reply": "yes", "asked": ["name"]}')])
    assert isinstance(found, Reply)
    assert (found.texts, found.metadata) == (("yes",), {"asked": ["name"]})
    assert found.memory == remember_thread(CONVERSATION, DAY_MS)


async def test_what_the_model_thought_is_not_sent() -> None:
    """Dify hands thoughts on within the text; of an answer that they do not end in, all of it."""
    found, _ = await ask([chat_message("<think>they are rude</think>\n\nHello!")])
    assert isinstance(found, Reply)
    assert found.texts == ("Hello!",)
    cut, _ = await ask([chat_message("<think>they are")])
    assert isinstance(cut, Retry)
    assert "they" not in cut.error


async def test_empty_text_is_silence() -> None:
    """A flow that ends without an answer sends nothing."""
    found, _ = await ask([chat_message(" ")])
    assert found == Silence(reason="empty text")


async def test_no_connection_is_unavailable() -> None:
    """A server that is away costs no attempt."""
    async with app_at(f"http://127.0.0.1:{unused_port()}") as handler:
        found = await handler.answer(make_call())
    assert found == Unavailable(error="no connection: ClientConnectorError")


async def test_time_is_ours() -> None:
    """The attempt ends with its time limit, also where the answer's end never comes."""
    stalling = dify_stream(PIECES[:2])
    answer = Answer(body=stalling.body, content_type="text/event-stream", stalls=True)
    found, _ = await ask([answer], timeout_ms=100)
    assert found == Retry(error="no answer in time")
