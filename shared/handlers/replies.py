"""
The reply in what a handler gave back: pure, and never raises.

An answer is an HTTP body (``read_body``), a JSON value (``read_json``), a text as a model wrote
it (``read_text``) or texts that are sent as they are (``reply_of``). ``reply_fields`` says where
in them the reply is. What does not hold to the contract is a ``Retry``: the attempt failed. Errors
and reasons name types and fields, never a text.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import orjson
from msgspec.structs import replace

from shared.handlers.answer_path import NOTHING, AnswerPath, follow_path, starts_with_index
from shared.handlers.embedded_json import read_json_text
from shared.handlers.handover import mute_ms_in
from shared.handlers.metadata import bounded_metadata, without_surrogates
from shared.handlers.reply_fields import (
    Said,
    WrongType,
    said_in_elements,
    said_in_object,
    said_in_text,
    said_in_value,
    together,
)
from shared.handlers.thoughts import is_cut_short
from shared.model import Reply, Retry, Silence
from shared.payload import load_json

Answer = Reply | Silence | Retry

MAX_FIELDS_NAMED = 10

_BOM = b"\xef\xbb\xbf"
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}")
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([A-Za-z0-9_.:+-]+)", re.IGNORECASE)
_NAMES_ONLY = frozenset({"idna", "punycode"})
"""Codecs of host names, which take minutes for a text of the largest size."""

_WEB_PAGE = re.compile(
    r"\s*+(?:<!--.{0,1000}?-->\s*+)?(?:<!doctype\s|<html[\s>])", re.IGNORECASE | re.DOTALL
)
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")


def read_body(content_type: str, body: bytes, path: AnswerPath | None = None) -> Answer:
    """
    What an HTTP answer says; ``content_type`` is the header as it came, or empty.

    An empty body is silence whatever its type: many frameworks label an empty 200 as HTML.
    """
    if not body.strip():
        return Silence(reason="empty answer")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "text/plain":
        return _read_plain(content_type, body, path)
    if media_type == "application/json" or media_type.endswith("+json"):
        try:
            answer = load_json(body.removeprefix(_BOM))
        except orjson.JSONDecodeError:
            return Retry(error="the answer is not valid JSON")
        return read_json(answer, path)
    if not media_type:
        return Retry(error="the answer has no content type")
    if not _MEDIA_TYPE.fullmatch(media_type):
        return Retry(error="the answer's content type cannot be read")
    return Retry(error=f"the answer is {media_type}, not text/plain or application/json")


def read_json(answer: Any, path: AnswerPath | None = None) -> Answer:
    """
    What a JSON answer says: at the path, if there is one, else in its reply field; a list's
    elements each by themselves.

    An answer without a reply is silence, and ``unread``, so that a status message of the
    endpoint's own, such as ``{"message": "Workflow was started"}``, never reaches a user.
    """
    try:
        said = _said_at(answer, path) if path else _said_in_fields(answer)
    except WrongType as error:
        return Retry(error=str(error))
    mute_ms = mute_ms_in(answer) if isinstance(answer, Mapping) else 0
    if said is None and mute_ms:
        return Silence(reason="mutes its user", mute_ms=mute_ms)
    if said is None:
        what = "nothing at answer_path" if path else "no reply field"
        return Silence(reason=f"{what}; {_outline(answer)}", unread=True)
    reply = _reply_from(said)
    if not mute_ms or isinstance(reply, Retry):
        return reply
    return replace(reply, mute_ms=max(mute_ms, reply.mute_ms))


def read_text(text: str) -> Answer:
    """What a model's text says: the text as it is, or the reply of a JSON object in it."""
    return _reply_from(said_in_text(text))


def reply_of(texts: Sequence[str], metadata: Mapping[str, Any] | None = None) -> Reply | Silence:
    """
    The texts as a reply, as they are and in their order, but for those that are blank.

    Halves of surrogate pairs, which a ``str`` may hold and UTF-8 may not, are joined, or
    replaced where they stand alone: Redis could not take them otherwise.
    """
    mute_ms = mute_ms_in(metadata) if metadata else 0
    kept = tuple([without_surrogates(text) for text in texts if text.strip()])
    if not kept:
        return Silence(reason="empty text", mute_ms=mute_ms)
    if not metadata:
        return Reply(texts=kept)
    return Reply(texts=kept, metadata=bounded_metadata(metadata), mute_ms=mute_ms)


def _reply_from(said: Said) -> Answer:
    if any(is_cut_short(text) for text in said.texts):
        return Retry(error="the answer ended before the model had thought it through")
    return reply_of(said.texts, said.metadata)


def _said_in_fields(answer: Any) -> Said | None:
    if isinstance(answer, Mapping):
        return said_in_object(answer)
    return said_in_elements(answer) if isinstance(answer, list | tuple) else None


def _said_at(answer: Any, path: AnswerPath) -> Said | None:
    if isinstance(answer, list | tuple) and not starts_with_index(path):
        return together([_said_at_end(element, path) for element in answer])
    return _said_at_end(answer, path)


def _said_at_end(answer: Any, path: AnswerPath) -> Said | None:
    value = follow_path(answer, path)
    return None if value is NOTHING else said_in_value(value)


def _read_plain(content_type: str, body: bytes, path: AnswerPath | None) -> Answer:
    """
    Some servers call everything plain text: a body that is a JSON object or a list of them is
    read as JSON, so that a status message of theirs reaches no user; a web page is an error.
    """
    named = _CHARSET.search(content_type)
    try:
        charset = codecs.lookup(named[1] if named else "utf-8").name
        if charset in _NAMES_ONLY:
            raise LookupError
        text = body.removeprefix(_BOM).decode(charset)
    except (UnicodeError, LookupError):
        # The name is the endpoint's own; a codec that is no text encoding is a LookupError.
        return Retry(error="the answer's text cannot be decoded by its charset")
    if _WEB_PAGE.match(text):
        return Retry(error="the answer is a web page, though it is called text/plain")
    value = read_json_text(text) if text.lstrip().startswith(("{", "[")) else None
    is_json = isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(one, dict) for one in value)
    )
    return read_json(value, path) if is_json else read_text(text)


def _outline(answer: Any) -> str:
    """For the log: a name that is not a plain word may be data (a phone number), so is hidden."""
    if isinstance(answer, Mapping):
        return f"fields: {_names(answer)}"
    kind = f"a JSON {type(answer).__name__}"
    if not isinstance(answer, list | tuple):
        return kind
    objects = [one for one in answer if isinstance(one, Mapping)]
    return f"{kind} with fields: {_names(dict.fromkeys(chain(*objects)))}" if objects else kind


def _names(fields: Mapping[Any, Any]) -> str:
    names = [str(name) if _PLAIN_NAME.fullmatch(str(name)) else "?" for name in fields]
    shown = names[:MAX_FIELDS_NAMED]
    if len(names) > len(shown):
        shown.append(f"and {len(names) - len(shown)} more")
    return ", ".join(shown) or "none"
