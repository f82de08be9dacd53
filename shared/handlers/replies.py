"""
The texts in what a handler gave back: pure, and never raises.

An answer is an HTTP body (``read_body``), a JSON object (``read_object``) or plain texts
(``reply_of``). What does not hold to the contract is a ``Retry``: the attempt failed. Errors
and reasons name types and fields, never a text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from shared.model import Reply, Retry, Silence

Answer = Reply | Silence | Retry

REPLY_FIELDS = ("reply", "replies")
"""Where a JSON object may hold its texts; the first one that has any gives them."""

MAX_FIELDS_NAMED = 10

_BOM = b"\xef\xbb\xbf"
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}")
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([A-Za-z0-9_.:+-]+)", re.IGNORECASE)
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")


def read_body(content_type: str, body: bytes) -> Answer:
    """
    What an HTTP answer says; ``content_type`` is the header as it came, or empty.

    An empty body is silence whatever its type: many frameworks label an empty 200 as HTML.
    """
    if not body.strip():
        return Silence(reason="empty answer")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "text/plain":
        return _read_plain(content_type, body)
    if media_type == "application/json" or media_type.endswith("+json"):
        return _read_json(body)
    if not media_type:
        return Retry(error="the answer has no content type")
    if not _MEDIA_TYPE.fullmatch(media_type):
        return Retry(error="the answer's content type cannot be read")
    return Retry(error=f"the answer is {media_type}, not text/plain or application/json")


def read_object(answer: Mapping[Any, Any]) -> Answer:
    """
    ``{"reply": "..."}`` or ``{"replies": ["...", ...]}``.

    An object without them is silence, so that a status message of the endpoint's own, such as
    ``{"message": "Workflow was started"}``, never reaches a user.
    """
    present = [name for name in REPLY_FIELDS if name in answer]
    if not present:
        return Silence(reason=f"no reply field; fields: {_names_of(answer)}")
    result: Answer = Silence(reason="empty text")
    for name in present:
        result = _read_field(name, answer[name])
        if not isinstance(result, Silence):
            return result
    return result


def reply_of(texts: Sequence[str]) -> Reply | Silence:
    """
    The texts as a reply, in their order; those that are empty or white space are left out.

    Halves of surrogate pairs, which a ``str`` may hold and UTF-8 may not, are joined, or
    replaced where they stand alone: Redis could not take them otherwise.
    """
    kept = tuple(_without_surrogates(text) for text in texts if text.strip())
    return Reply(texts=kept) if kept else Silence(reason="empty text")


def _read_plain(content_type: str, body: bytes) -> Answer:
    named = _CHARSET.search(content_type)
    charset = named[1] if named else "utf-8"
    try:
        return reply_of([body.removeprefix(_BOM).decode(charset)])
    except (UnicodeError, LookupError):
        # The name is the endpoint's own; a codec that is no text encoding is a LookupError.
        return Retry(error="the answer's text cannot be decoded by its charset")


def _read_json(body: bytes) -> Answer:
    try:
        answer = orjson.loads(body.removeprefix(_BOM))
    except orjson.JSONDecodeError:
        return Retry(error="the answer is not valid JSON")
    if isinstance(answer, dict):
        return read_object(answer)
    return Silence(reason=f"no reply field; a JSON {type(answer).__name__}")


def _read_field(name: str, value: Any) -> Answer:
    if value is None:
        return Silence(reason=f"{name} is null")
    if name == "reply":
        if isinstance(value, str):
            return reply_of([value])
        return Retry(error=f"reply must be a text, not {type(value).__name__}")
    if not isinstance(value, list | tuple):
        return Retry(error=f"{name} must be a list of texts, not {type(value).__name__}")
    for item in value:
        if not isinstance(item, str):
            return Retry(error=f"{name} must hold texts only, not {type(item).__name__}")
    return reply_of(value)


def _names_of(answer: Mapping[Any, Any]) -> str:
    """For the log: a name that is not a plain word may be data (a phone number), so is hidden."""
    names = [str(name) if _PLAIN_NAME.fullmatch(str(name)) else "?" for name in answer]
    shown = names[:MAX_FIELDS_NAMED]
    if len(names) > len(shown):
        shown.append(f"and {len(names) - len(shown)} more")
    return ", ".join(shown) or "none"


def _without_surrogates(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
