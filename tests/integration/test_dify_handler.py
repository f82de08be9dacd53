"""What the handler ``dify:`` asks of a server on loopback that speaks Dify's service API."""

from __future__ import annotations

import asyncio
import base64

import pytest

from shared.handlers import Call
from shared.handlers.history import remember_exchange, remember_thread
from shared.model import Kind, Media, Reply
from tests.support.dify_handler import DAY_MS, PHOTO, PIECES, app_at, ask, call_in
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.models import CONVERSATION, chat_message, dify_error, dify_stream
from tests.support.windows import make_call

LINKED = Media(mime="image/jpeg", url="https://media.example.org/1.jpg")


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
