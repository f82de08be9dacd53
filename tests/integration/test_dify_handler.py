"""The handler ``dify:`` against a server on loopback that speaks Dify's service API."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shared.handlers import Call, Handler
from shared.handlers.factory import handler_for
from shared.handlers.history import remember_exchange, remember_thread
from shared.handlers.model_options import ModelOptions
from shared.model import Kind, Media, Rejected, Reply, Result, Retry, Silence, Unavailable
from tests.support.handler_server import Answer, HandlerCall, HandlerServer, Script
from tests.support.http_handler import unused_port
from tests.support.models import CONVERSATION, chat_message, dify_error, dify_stream
from tests.support.windows import make_call

PHOTO = Media(mime="image/png", data="iVBORw0KGgo=", name="menu.png")
LINKED = Media(mime="image/jpeg", url="https://media.example.org/1.jpg")
DAY_MS = 86_400_000


@asynccontextmanager
async def app_at(url: str, timeout_ms: int = 10_000, **options: Any) -> AsyncIterator[Handler]:
    """The handler of an app behind ``url``, closed at the end."""
    chosen = ModelOptions(**{"key": "app-secret", **options})
    setting = "dify:" + url.removesuffix("/answer")
    handler = handler_for(setting, secret=None, timeout_ms=timeout_ms, model=chosen)
    try:
        yield handler
    finally:
        await handler.close()


def call_in(conversation_id: str, **message: Any) -> Call:
    """A window of a conversation that Dify has under that id."""
    call = make_call(**message)
    return Call(
        window=call.window, attempt=1, history=(remember_thread(conversation_id, DAY_MS).item,)
    )


async def ask(
    script: Script, call: Call | None = None, **options: Any
) -> tuple[Result, list[HandlerCall]]:
    """What one call comes to, and the requests that it took."""
    async with HandlerServer(script) as server:
        async with app_at(server.url, **options) as handler:
            result = await handler.answer(make_call() if call is None else call)
        return result, server.calls


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_the_request_is_difys(suffix: str) -> None:
    """Key, query, user and who it is; a base URL with and without its version."""
    async with HandlerServer([chat_message("yes")]) as server:
        async with app_at(server.url.removesuffix("/answer") + suffix) as handler:
            assert handler.remembers
            call = make_call(["hi", "are you open?"], name="Ada")
            assert await handler.answer(call) == Reply(
                texts=("yes",), memory=remember_thread(CONVERSATION, DAY_MS)
            )
        (request,) = server.calls
    assert request.path == "/v1/chat-messages"
    assert request.headers["Authorization"] == "Bearer app-secret"
    assert request.json == {
        "inputs": {"instance": "shop", "user": "491700000001", "name": "Ada"},
        "query": "hi\nare you open?",
        "response_mode": "blocking",
        "conversation_id": "",
        "user": "491700000001",
        "files": [],
    }


async def test_the_conversation_goes_on() -> None:
    """The id that Dify gave goes out with the next window, whatever else was remembered."""
    said = remember_exchange("hi", ["yes"], 20, DAY_MS)
    assert said is not None
    call = make_call()
    history = (said.item, remember_thread(CONVERSATION, DAY_MS).item, b"not ours")
    _, (request,) = await ask(
        [chat_message("yes")], Call(window=call.window, attempt=1, history=history)
    )
    assert request.json["conversation_id"] == CONVERSATION


@pytest.mark.parametrize(
    "gone", [dify_error(404, "not_found"), dify_error(400, "conversation_completed")]
)
async def test_a_conversation_that_is_gone_begins_anew(gone: Answer) -> None:
    """A deleted one, or another app's, costs the user nothing; the new id is remembered."""
    new = "00000000-0000-4000-8000-000000000002"
    result, calls = await ask([gone, chat_message("yes", new)], call_in(CONVERSATION))
    assert [one.json["conversation_id"] for one in calls] == [CONVERSATION, ""]
    assert result == Reply(texts=("yes",), memory=remember_thread(new, DAY_MS))


async def test_without_history_every_window_is_a_new_conversation() -> None:
    """HISTORY_MESSAGES 0 means it here, too."""
    result, _ = await ask([chat_message("yes")], history_messages=0)
    assert result == Reply(texts=("yes",))


async def test_a_linked_picture_goes_along_as_its_link() -> None:
    """Dify fetches it; the query mentions it."""
    call = make_call(["look"], kind=Kind.IMAGE, media=LINKED)
    _, (request,) = await ask([chat_message("nice")], call)
    assert request.json["query"] == "[image]\nlook"
    assert request.json["files"] == [
        {"type": "image", "transfer_method": "remote_url", "url": LINKED.url}
    ]


async def test_a_picture_in_bytes_is_uploaded_first() -> None:
    """By the same user, or Dify would not find it."""
    script = [Answer.json({"id": "file-1"}, 201), chat_message("nice")]
    call = make_call([""], kind=Kind.IMAGE, media=PHOTO)
    _, (upload, request) = await ask(script, call)
    assert upload.path == "/v1/files/upload"
    assert base64.b64decode("iVBORw0KGgo=") in upload.body
    assert b"491700000001" in upload.body
    assert request.json["query"] == "[image: menu.png]"
    assert request.json["files"] == [
        {"type": "image", "transfer_method": "local_file", "upload_file_id": "file-1"}
    ]


@pytest.mark.parametrize(
    "script",
    [
        [dify_error(415, "unsupported_file_type"), chat_message("nice")],
        [Answer.json({"id": "f"}, 201), dify_error(400, "invalid_param"), chat_message("nice")],
    ],
)
async def test_an_app_that_takes_no_pictures_is_told_in_words(script: list[Answer]) -> None:
    """Neither a refused upload nor a refused file costs the user the answer."""
    call = make_call([""], kind=Kind.IMAGE, media=PHOTO)
    result, calls = await ask(script, call)
    assert isinstance(result, Reply)
    assert len(calls) == len(script)
    assert calls[-1].json["files"] == []


async def test_pictures_can_be_kept_from_the_app() -> None:
    """With HANDLER_IMAGES off they are only mentioned."""
    call = make_call([""], kind=Kind.IMAGE, media=LINKED)
    _, (request,) = await ask([chat_message("ok")], call, images=False)
    assert request.json["files"] == []


async def test_bytes_that_are_none_are_only_mentioned() -> None:
    """Base64 of a sender's own making harms nobody."""
    call = make_call([""], kind=Kind.IMAGE, media=Media(mime="image/png", data="%%%"))
    _, (request,) = await ask([chat_message("ok")], call)
    assert request.json["files"] == []


PIECES: list[dict[str, Any]] = [
    {"event": "workflow_started", "conversation_id": CONVERSATION},
    {"event": "message", "answer": "Good ", "conversation_id": CONVERSATION},
    {"event": "node_finished", "data": {"outputs": {"text": "inner"}}},
    {"event": "message", "answer": "morning", "conversation_id": CONVERSATION},
    {"event": "message_end", "conversation_id": CONVERSATION},
]


async def test_an_agent_is_asked_to_stream() -> None:
    """It refuses once to answer in one piece, and is asked in its own way from then on."""
    refusal = dify_error(400, "invalid_param", "Agent Chat App does not support blocking mode")
    async with HandlerServer([refusal, dify_stream(PIECES)]) as server:
        async with app_at(server.url) as handler:
            results = [await handler.answer(make_call()) for _ in range(2)]
        modes = [one.json["response_mode"] for one in server.calls]
    assert modes == ["blocking", "streaming", "streaming"]
    assert (
        results
        == [Reply(texts=("Good morning",), memory=remember_thread(CONVERSATION, DAY_MS))] * 2
    )


async def test_calls_side_by_side_all_learn_to_stream() -> None:
    """An agent's refusal of one window costs another nothing that was asked at the same time."""
    refusal = dify_error(400, "invalid_param", "Agent Chat App does not support blocking mode")
    everyone = asyncio.Barrier(3)

    async def script(call: HandlerCall) -> Answer:
        if call.json["response_mode"] == "streaming":
            return dify_stream(PIECES)
        await everyone.wait()
        return refusal

    async with HandlerServer(script) as server, app_at(server.url) as handler:
        results = await asyncio.gather(*(handler.answer(make_call()) for _ in range(3)))
    assert all(isinstance(result, Reply) for result in results)


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


async def test_cancelling_a_call_closes_its_connection() -> None:
    """A call that shutdown cuts short ends at once, and the next one is not disturbed."""
    reached = asyncio.Event()

    async def script(call: HandlerCall) -> Answer:
        if not reached.is_set():
            reached.set()
            await asyncio.get_running_loop().create_future()
        return chat_message("second")

    async with HandlerServer(script) as server, app_at(server.url) as handler:
        first = asyncio.create_task(handler.answer(make_call()))
        await asyncio.wait_for(reached.wait(), 10)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = await handler.answer(make_call(attempt=2))
    assert isinstance(second, Reply)
    assert second.texts == ("second",)
