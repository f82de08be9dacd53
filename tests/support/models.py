"""What servers of models say, as their protocols have it: chat completions, and Dify's messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from tests.support.handler_server import Answer

CONVERSATION = "5b0d9c1e-7a43-4f0e-9c55-0d1f2a3b4c5d"


def completion(text: Any, finish_reason: str = "stop", **message: Any) -> Answer:
    """A chat completion with one choice."""
    return Answer.json(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "small-one",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": finish_reason,
                    "message": {"role": "assistant", "content": text, **message},
                }
            ],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
        }
    )


def openai_error(status: int, code: str | None, kind: str = "invalid_request_error") -> Answer:
    """An error as OpenAI writes it; its message names what only the user may know."""
    error = {"message": "Bad: 491700000001 said hello", "type": kind, "param": None, "code": code}
    return Answer.json({"error": error}, status)


def chat_message(text: Any, conversation_id: str = CONVERSATION) -> Answer:
    """Dify's blocking answer."""
    return Answer.json(
        {
            "event": "message",
            "task_id": "t-1",
            "id": "m-1",
            "message_id": "m-1",
            "conversation_id": conversation_id,
            "mode": "chat",
            "answer": text,
            "metadata": {},
            "created_at": 1_700_000_000,
        }
    )


def dify_error(status: int, code: str, message: str = "491700000001 said hello") -> Answer:
    """An error as Dify writes it."""
    return Answer.json({"code": code, "message": message, "status": status}, status)


def dify_stream(events: Sequence[dict[str, Any]]) -> Answer:
    """Dify's streamed answer, with the pings that come between."""
    lines = [b"event: ping\n\n"]
    lines += [b"data: " + orjson.dumps(event) + b"\n\n" for event in events]
    return Answer(body=b"".join(lines), content_type="text/event-stream")
