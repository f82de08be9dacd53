"""
What Dify answers to a chat message: pure, but for the order in which a stream's pieces are fed.

A blocking answer is one JSON object; a streamed one is a series of events, of which the text's
pieces, its replacement by a moderation, its end and an error count. Agents only stream, and some
versions stream whatever was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import Struct

from shared.handlers.http import ANSWER_MAX_BYTES, judge_status
from shared.model import Rejected, Retry, Unavailable
from shared.payload import load_json

STREAM_MAX_BYTES = 16 * ANSWER_MAX_BYTES
"""A chatflow's events tell each node's inputs and outputs besides the answer."""

_APP_AT_FAULT = frozenset(
    {
        "app_unavailable",
        "not_chat_app",
        "provider_not_initialize",
        "provider_quota_exceeded",
        "model_currently_not_support",
    }
)
_MODEL_FAILED = frozenset({"completion_request_error", "rate_limit_error"})
_CODES = _APP_AT_FAULT | _MODEL_FAILED | {"conversation_completed", "invalid_param", "not_found"}


class DifyAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """The text, and the id under which Dify remembers the conversation; empty: it gave none."""

    text: str
    conversation_id: str


class DifyRefusal(Exception):
    """
    Dify answered with an error, which means ``result`` if nothing is changed in the request.

    ``thread_is_gone``: the conversation is not known, or over: a new one may begin.
    ``must_stream``: this app gives no blocking answers.
    """

    def __init__(self, status: int, body: Any, headers: Mapping[str, str]) -> None:
        error = body if isinstance(body, dict) else {}
        code = error.get("code")
        code = code if isinstance(code, str) and code in _CODES else ""
        self.status = status
        self.result = _judge(status, code, headers)
        self.thread_is_gone = status == 404 or code == "conversation_completed"
        self.must_stream = code == "invalid_param" and "blocking mode" in str(error.get("message"))
        super().__init__(self.result.error)


class NoAnswer(Exception):
    """What came is no answer of Dify's; the message is fit for a log."""


def read_answer(body: bytes) -> DifyAnswer:
    """
    A blocking answer.

    Raises:
        NoAnswer: it is none.
    """
    try:
        answer = load_json(body)
        text = answer["answer"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        raise NoAnswer("the answer is no chat message of Dify's") from None
    if not isinstance(text, str):
        raise NoAnswer(f"the answer's text is {type(text).__name__}")
    return DifyAnswer(text=text, conversation_id=_text(answer.get("conversation_id")))


class StreamedAnswer:
    """A streamed answer, fed with the body's bytes as they come, cut anywhere."""

    def __init__(self) -> None:
        self._line = b""
        self._size = 0
        self._text = ""
        self._conversation_id = ""
        self._has_ended = False

    def feed(self, chunk: bytes) -> None:
        """
        Take the next bytes.

        Raises:
            DifyRefusal: they tell an error.
            NoAnswer: too many of them came.
        """
        self._size += len(chunk)
        *lines, self._line = (self._line + chunk).split(b"\n")
        if self._size > STREAM_MAX_BYTES or len(self._line) > ANSWER_MAX_BYTES:
            raise NoAnswer("the streamed answer is too large")
        for line in lines:
            if line.startswith(b"data:"):
                self._take(line[5:])

    def end(self) -> DifyAnswer:
        """
        The whole answer.

        Raises:
            NoAnswer: it broke off.
        """
        if not self._has_ended:
            raise NoAnswer("the streamed answer broke off")
        return DifyAnswer(text=self._text, conversation_id=self._conversation_id)

    def _take(self, data: bytes) -> None:
        try:
            event = load_json(data)
        except orjson.JSONDecodeError:
            return
        if not isinstance(event, dict):
            return
        match event.get("event"):
            case "message" | "agent_message":
                self._text += _text(event.get("answer"))
            case "message_replace":
                self._text = _text(event.get("answer"))
            case "message_end":
                self._has_ended = True
            case "error":
                status = event.get("status")
                raise DifyRefusal(status if isinstance(status, int) else 500, event, {})
        self._conversation_id = _text(event.get("conversation_id")) or self._conversation_id
        if len(self._text) > ANSWER_MAX_BYTES:
            raise NoAnswer("the streamed answer is too large")


def _judge(status: int, code: str, headers: Mapping[str, str]) -> Retry | Unavailable | Rejected:
    judged = judge_status(status, headers) or Retry(error=f"an error with the status {status}")
    error = f"{judged.error}: {code}" if code else judged.error
    if code in _APP_AT_FAULT:
        return Unavailable(error=error)
    after_ms = None if isinstance(judged, Rejected) else judged.after_ms
    if code in _MODEL_FAILED:
        return Retry(error=error, after_ms=after_ms)
    if isinstance(judged, Rejected):
        return Rejected(error=error)
    return type(judged)(error=error, after_ms=after_ms)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
