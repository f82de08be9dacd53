"""What the handler ``openai:`` asks, and makes of answers, of a server that speaks the protocol."""

from __future__ import annotations

from typing import Any

import pytest

from shared.handlers.history import remember_exchange
from shared.model import Kind, Media, Memory, Rejected, Reply, Retry, Silence, Unavailable
from tests.support.handler_server import Answer, HandlerServer
from tests.support.models import completion, openai_error
from tests.support.openai_handler import model_at, result_of
from tests.support.windows import make_call

PHOTO = Media(mime="image/png", data="iVBORw0KGgo=", name="menu.png")


async def test_the_request_is_the_protocols() -> None:
    """Model, prompt, the window as one turn, the limits; the key in its header, nothing more."""
    options: dict[str, Any] = {"system_prompt": "Be brief.", "temperature": 0.3, "max_tokens": 200}
    async with HandlerServer([completion("yes")]) as server:
        async with model_at(server.url, **options) as handler:
            call = make_call(["hi", "are you open?"])
            assert await handler.answer(call) == Reply(
                texts=("yes",),
                memory=remember_exchange("hi\nare you open?", ["yes"], 20, 86_400_000),
            )
        (request,) = server.calls
    assert request.path == "/v1/chat/completions"
    assert request.headers["Authorization"] == "Bearer sk-secret"
    assert request.headers["Idempotency-Key"] == call.window.id
    assert request.json == {
        "model": "small-one",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi\nare you open?"},
        ],
        "temperature": 0.3,
        "max_tokens": 200,
    }


async def test_what_was_said_before_is_told_again() -> None:
    """Earlier exchanges stand between the prompt and the window, oldest first, roles in turn."""
    memories = [remember_exchange(f"q{n}", [f"a{n}"], 20, 1000) for n in range(3)]
    history = tuple(memory.item for memory in memories if memory)
    async with HandlerServer([completion("yes")]) as server:
        async with model_at(server.url, history_messages=5) as handler:
            assert handler.remembers
            call = make_call(["now"])
            await handler.answer(type(call)(window=call.window, attempt=1, history=history))
        (request,) = server.calls
    assert [one["content"] for one in request.json["messages"]] == ["q1", "a1", "q2", "a2", "now"]
    assert [one["role"] for one in request.json["messages"]] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]


async def test_without_history_nothing_is_remembered() -> None:
    """With HISTORY_MESSAGES below 2 the model knows the window alone; the reply leaves no trace."""
    script = [completion("yes")]
    async with HandlerServer(script) as server, model_at(server.url, history_messages=1) as handler:
        assert not handler.remembers
        assert await handler.answer(make_call()) == Reply(texts=("yes",))


async def test_a_picture_is_shown_and_mentioned() -> None:
    """An image goes along as its bytes; the text says that it is there; memory has words alone."""
    async with HandlerServer([completion("nice")]) as server:
        async with model_at(server.url) as handler:
            result = await handler.answer(make_call(["look"], kind=Kind.IMAGE, media=PHOTO))
        (request,) = server.calls
    words = "[image: menu.png]\nlook"
    assert request.json["messages"][-1]["content"] == [
        {"type": "text", "text": words},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    assert isinstance(result, Reply)
    assert result.memory == remember_exchange(words, ["nice"], 20, 86_400_000)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
async def test_a_model_without_eyes_is_told_in_words(status: int) -> None:
    """Where the server refuses the picture, the window is asked once more without it."""
    script = [openai_error(status, "image_not_supported"), completion("what is it?")]
    async with HandlerServer(script) as server:
        async with model_at(server.url) as handler:
            result = await handler.answer(make_call([""], kind=Kind.IMAGE, media=PHOTO))
        assert [type(one.json["messages"][-1]["content"]) for one in server.calls] == [list, str]
        assert server.calls[1].json["messages"][-1]["content"] == "[image: menu.png]"
    assert isinstance(result, Reply)


async def test_pictures_can_be_kept_from_the_model() -> None:
    """With HANDLER_IMAGES off they are only mentioned."""
    async with HandlerServer([completion("ok")]) as server:
        async with model_at(server.url, images=False) as handler:
            await handler.answer(make_call([""], kind=Kind.IMAGE, media=PHOTO))
        (request,) = server.calls
    assert request.json["messages"][-1]["content"] == "[image: menu.png]"


@pytest.mark.parametrize(
    "answer, result",
    [
        (openai_error(400, "context_length_exceeded"), "Rejected 400 context_length_exceeded"),
        (openai_error(401, "invalid_api_key"), "Unavailable 401 invalid_api_key"),
        (openai_error(404, "model_not_found"), "Unavailable 404 model_not_found"),
        (openai_error(429, "rate_limit_exceeded"), "Retry 429 rate_limit_exceeded"),
        (openai_error(429, "insufficient_quota"), "Unavailable 429 insufficient_quota"),
        (openai_error(500, None, "server_error"), "Retry 500 server_error"),
        (openai_error(529, None, "overloaded_error"), "Retry 529 overloaded_error"),
        (openai_error(503, None, "server_error"), "Retry 503 server_error"),
        (openai_error(503, "slow_down"), "Retry 503 slow_down"),
        (
            openai_error(503, "server_is_overloaded", "service_unavailable_error"),
            "Retry 503 server_is_overloaded",
        ),
        (openai_error(503, None, "unavailable_error"), "Unavailable 503 unavailable_error"),
        (openai_error(502, None, "server_error"), "Unavailable 502 server_error"),
        (openai_error(503, "491700000001 hello", "Hello!"), "Unavailable 503"),
        (Answer(status=302, headers={"Location": "/v1/other"}), "Unavailable 302"),
        (
            Answer(status=502, body=b"<html>hello</html>", content_type="text/html"),
            "Unavailable 502",
        ),
        (Answer.json(["hello"], 500), "Retry 500"),
    ],
)
async def test_a_status_means_what_it_means_to_others(answer: Answer, result: str) -> None:
    """Overload is tried again, a wrong key waits, a request that is wrong is given up."""
    found = await result_of(answer)
    kind, status, *code = result.split()
    assert type(found).__name__ == kind
    assert isinstance(found, Rejected | Unavailable | Retry)
    assert f"answered {status}" in found.error
    assert not code or found.error.endswith(f": {code[0]}")
    assert "hello" not in found.error.lower()
    assert "4917" not in found.error


async def test_retry_after_is_heard() -> None:
    """How long a rate limit lasts is the server's to say; the package does not wait by itself."""
    limited = openai_error(429, "rate_limit_exceeded")
    answer = Answer(
        status=429, body=limited.body, content_type="application/json", headers={"Retry-After": "7"}
    )
    assert await result_of(answer) == Retry(
        error="answered 429 Too Many Requests: rate_limit_exceeded", after_ms=7000
    )


def text_part(text: str) -> dict[str, Any]:
    """A part of a content in parts, as Mistral's models answer."""
    return {"type": "text", "text": text}


THOUGHT = {"type": "thinking", "thinking": [text_part("they are rude")]}


@pytest.mark.parametrize(
    "answer, error",
    [
        (Answer(body=b"<html>", content_type="text/html"), "no chat completion"),
        (Answer(body=b"{", content_type="application/json"), "no chat completion"),
        (Answer.json([]), "no chat completion"),
        (Answer.json({"choices": []}), "no chat completion"),
        (Answer.json({"choices": [{"message": None}]}), "no chat completion"),
        (completion({"text": "hello"}), "content is dict"),
        (completion(["hello"]), "no chat completion"),
        (completion([{"type": "text", "text": ["hello"]}]), "no chat completion"),
        (completion([THOUGHT], finish_reason="length"), "max_tokens is too low"),
        (completion("<think>hello", finish_reason="length"), "before the model had thought"),
        (completion("", finish_reason="length"), "max_tokens is too low"),
        (completion("x" * 1_100_000), "larger than"),
        (Answer(status=200, drops=True), "the connection failed"),
    ],
)
async def test_an_answer_that_is_none_is_tried_again(answer: Answer, error: str) -> None:
    """Wrong JSON, no JSON, a cut connection or thoughts without end never reach the user."""
    found = await result_of(answer)
    assert isinstance(found, Retry)
    assert error in found.error
    assert "hello" not in found.error


@pytest.mark.parametrize(
    "answer, result",
    [
        (completion("  "), Silence(reason="empty text")),
        (completion(None), Silence(reason="empty text")),
        (completion(None, refusal="I cannot help with that."), "I cannot help with that."),
        (completion("<think>they are rude</think>\n\nHello!"), "Hello!"),
        (completion("they are rude\n</think>\nHello!"), "Hello!"),
        (
            completion("write <think> and </think> around it"),
            "write <think> and </think> around it",
        ),
        (
            completion([THOUGHT, text_part("Hel"), {"type": "reference"}, text_part("lo!")]),
            "Hello!",
        ),
        (completion([text_part('{"response": "Hello!"}')]), "Hello!"),
        (completion([THOUGHT]), Silence(reason="empty text")),
        (completion([]), Silence(reason="empty text")),
    ],
)
async def test_only_what_is_said_to_the_user_reaches_him(answer: Answer, result: Any) -> None:
    """Thoughts stay with the model, as parts; no text is silence, a refusal is what it says."""
    found = await result_of(answer)
    assert (found.texts[0] if isinstance(found, Reply) else found) == result


async def test_half_of_an_emoji_is_no_broken_answer() -> None:
    """A model that ends within one has said the rest."""
    body = b'{"choices": [{"message": {"content": "Hi \\ud83d"}}]}'
    found = await result_of(Answer(body=body, content_type="application/json"))
    assert isinstance(found, Reply)
    assert found.texts == ("Hi \ufffd",)


async def test_json_in_a_models_text_is_read_out() -> None:
    """The user and the memory get the reply alone; what stands beside it is kept with it."""
    found = await result_of(completion('Yes!\n```json\n{"response": "Yes!", "asked": []}\n```'))
    assert isinstance(found, Reply)
    assert found.texts == ("Yes!",)
    assert found.metadata == {"asked": []}
    assert found.memory == remember_exchange("hello", ["Yes!"], 20, 86_400_000)


async def test_a_remembered_text_has_an_end() -> None:
    """A book that a user sent does not stay in Redis."""
    found = await result_of(completion("y" * 20_000))
    assert isinstance(found, Reply)
    assert len(found.texts[0]) == 20_000
    assert isinstance(found.memory, Memory)
    assert len(found.memory.item) < 8200
