"""
How entries, dead letters and replies are written in Redis: one encode and one decode per type.

Everything is JSON with a version ``v``; absent fields mean their defaults. Decoding is strict:
what no version explains raises ``EntryUndecodable``, and that entry alone becomes a dead letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from types import NoneType
from typing import Any

import orjson

from shared.errors import EntryUndecodable
from shared.model import (
    ClosedBy,
    Entry,
    EntryId,
    Kind,
    Media,
    Message,
    Window,
    WindowId,
)

VERSION = 1

FIELD = b"m"
"""The one field of a stream entry."""

_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, IndexError)
"""What reading raises of a value that is not as it was written."""

_MESSAGE_FIELDS = tuple(field.name for field in fields(Message) if field.name != "instance")
_MEDIA_FIELDS = tuple(field.name for field in fields(Media))
_MESSAGE_DEFAULTS: dict[str, Any] = {"text": "", "kind": Kind.TEXT}
_Types = Mapping[str, tuple[type, ...]]
_TEXT, _MAYBE_TEXT = (str,), (str, NoneType)
_NUMBER, _MAYBE_NUMBER = (int,), (int, NoneType)

_MESSAGE_TYPES: _Types = {
    "user": _TEXT,
    "message_id": _TEXT,
    "text": _TEXT,
    "kind": _TEXT,
    "sent_at": _MAYBE_NUMBER,
    "received_at": _NUMBER,
    "media": (dict, NoneType),
    "quoted": _MAYBE_TEXT,
    "name": _MAYBE_TEXT,
    "reply_to": _MAYBE_TEXT,
    "provider": _MAYBE_TEXT,
    "raw": (dict, list, str, int, float, bool, NoneType),
}
_MEDIA_TYPES: _Types = {
    **dict.fromkeys(_MEDIA_FIELDS, _MAYBE_TEXT),
    "size_bytes": _MAYBE_NUMBER,
    "duration_s": _MAYBE_NUMBER,
    "omitted": (bool,),
}
_WINDOW_TYPES: _Types = {
    "window_id": _TEXT,
    "instance": _TEXT,
    "user": _TEXT,
    "closed_by": _TEXT,
    "opened_at": _NUMBER,
    "closed_at": _NUMBER,
    "entries": (list,),
}
_LETTER_TYPES: _Types = {
    "window": (dict, NoneType),
    "error": _TEXT,
    "attempts": _NUMBER,
    "instance": _TEXT,
    "raw": _MAYBE_TEXT,
}
_REPLY_TYPES: _Types = {
    "window_id": _TEXT,
    "instance": _TEXT,
    "user": _TEXT,
    "texts": (list,),
    "provider": _MAYBE_TEXT,
    "reply_to": _MAYBE_TEXT,
    "message_ids": (list,),
}


def _open_body(value: bytes, what: str) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(value)
    if body.pop("v") != VERSION:
        raise EntryUndecodable(f"the {what} has another version")
    return body


def _check_types(body: Mapping[str, Any], types: _Types) -> None:
    """Every field is one of ``types``, and of exactly its type: a bool is no number."""
    for name, value in body.items():
        if type(value) not in types.get(name, ()):
            raise EntryUndecodable(f"field {name} is unknown or has the wrong type")


def _check_texts(values: Iterable[Any]) -> None:
    if any(type(value) is not str for value in values):
        raise EntryUndecodable("a list of texts holds something else")


def _message_to_dict(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name in _MESSAGE_FIELDS:
        value = getattr(message, name)
        if value is None or value == _MESSAGE_DEFAULTS.get(name):
            continue
        body[name] = _media_to_dict(value) if name == "media" else value
    return body


def _media_to_dict(media: Media) -> dict[str, Any]:
    values = {name: getattr(media, name) for name in _MEDIA_FIELDS}
    return {
        name: value for name, value in values.items() if value is not None and value is not False
    }


def _message_from_dict(instance: str, body: dict[str, Any]) -> Message:
    _check_types(body, _MESSAGE_TYPES)
    values = dict(body)
    if "kind" in values:
        values["kind"] = Kind(values["kind"])
    if values.get("media") is not None:
        _check_types(values["media"], _MEDIA_TYPES)
        values["media"] = Media(**values["media"])
    return Message(instance=instance, **values)


def encode_message(message: Message) -> bytes:
    """The value of an entry's field; the instance is in the stream's name, not here."""
    return orjson.dumps({"v": VERSION, **_message_to_dict(message)})


def decode_entry(instance: str, entry_id: bytes, values: list[bytes]) -> Entry:
    """
    ``values``: field, value, ... as Redis gives them.

    Raises:
        EntryUndecodable: not ours, damaged, or of a later version.
    """
    try:
        if len(values) != 2 or values[0] != FIELD:
            raise EntryUndecodable("the entry does not have exactly the field m")
        body = _open_body(values[1], "entry")
        window = body.pop("window", None)
        replayed: Window | None = None
        if window is not None:
            _check_types(body, {})
            replayed = window_from_dict(window)
            if replayed.instance != instance:
                raise EntryUndecodable("the window is another instance's")
            message = replayed.entries[0].message
        else:
            message = _message_from_dict(instance, body)
        size = len(values[1])
        return Entry(
            id=EntryId.parse(entry_id), message=message, replayed=replayed, size_bytes=size
        )
    except _DAMAGE as error:
        raise EntryUndecodable(f"the entry cannot be read: {type(error).__name__}") from error


def decode_message(instance: str, value: bytes) -> Message:
    """
    The inverse of ``encode_message``.

    Raises:
        EntryUndecodable: damaged, or of a later version.
    """
    try:
        return _message_from_dict(instance, _open_body(value, "message"))
    except _DAMAGE as error:
        raise EntryUndecodable(f"the message cannot be read: {type(error).__name__}") from error


def window_to_dict(window: Window) -> dict[str, Any]:
    """A window whole, with every message: what a dead letter keeps."""
    return {
        "window_id": window.id,
        "instance": window.instance,
        "user": window.user,
        "closed_by": window.closed_by,
        "opened_at": window.opened_at,
        "closed_at": window.closed_at,
        "entries": [
            {"entry_id": str(entry.id), **_message_to_dict(entry.message)}
            for entry in window.members
        ],
    }


def window_from_dict(body: dict[str, Any]) -> Window:
    """The inverse of ``window_to_dict``: one user's messages, at least one."""
    _check_types(body, _WINDOW_TYPES)
    instance, user = body["instance"], body["user"]
    entries = []
    for member in body["entries"]:
        rest = {name: value for name, value in member.items() if name != "entry_id"}
        message = _message_from_dict(instance, rest)
        if message.user != user:
            raise EntryUndecodable("a window holds another user's message")
        entries.append(Entry(id=EntryId.parse(member["entry_id"]), message=message))
    if not entries:
        raise EntryUndecodable("a window holds no message")
    return Window(
        id=WindowId(body["window_id"]),
        instance=instance,
        user=user,
        entries=tuple(entries),
        closed_by=ClosedBy(body["closed_by"]),
        opened_at=body["opened_at"],
        closed_at=body["closed_at"],
    )


def encode_replay(dead_window: dict[str, Any]) -> bytes:
    """The entry that hands a dead window over again, whole."""
    return orjson.dumps({"v": VERSION, "window": dead_window})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A window given up: whole, with its error. ``window`` is None for an undecodable entry."""

    window: Window | None
    error: str
    attempts: int
    instance: str
    raw: str | None = None


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """The value of a dead letter's field."""
    window = None if letter.window is None else window_to_dict(letter.window)
    body = {"v": VERSION, "window": window, "error": letter.error, "attempts": letter.attempts}
    return orjson.dumps({**body, "instance": letter.instance, "raw": letter.raw})


def decode_dead_letter(value: bytes) -> DeadLetter:
    """
    The inverse of ``encode_dead_letter``.

    Raises:
        EntryUndecodable: damaged, or of a later version.
    """
    try:
        body = _open_body(value, "dead letter")
        _check_types(body, _LETTER_TYPES)
        raw_window = body.pop("window")
        window = None if raw_window is None else window_from_dict(raw_window)
        if window is not None and window.instance != body["instance"]:
            raise EntryUndecodable("the window is another instance's")
        return DeadLetter(window=window, **body)
    except _DAMAGE as error:
        raise EntryUndecodable(f"the dead letter cannot be read: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxReply:
    """A reply that waits in the outbox: what to say, to whom, for which window."""

    window_id: WindowId
    instance: str
    user: str
    texts: tuple[str, ...]
    provider: str | None
    reply_to: str | None
    message_ids: tuple[str, ...]


def encode_reply(reply: OutboxReply) -> bytes:
    """The value of an outbox entry's field."""
    body: dict[str, Any] = {"v": VERSION}
    body |= {field.name: getattr(reply, field.name) for field in fields(OutboxReply)}
    return orjson.dumps(body)


def decode_reply(value: bytes) -> OutboxReply:
    """
    The inverse of ``encode_reply``.

    Raises:
        EntryUndecodable: damaged, or of a later version.
    """
    try:
        body = _open_body(value, "reply")
        _check_types(body, _REPLY_TYPES)
        _check_texts((*body["texts"], *body["message_ids"]))
        body["texts"] = tuple(body["texts"])
        body["message_ids"] = tuple(body["message_ids"])
        return OutboxReply(**body)
    except _DAMAGE as error:
        raise EntryUndecodable(f"the reply cannot be read: {error}") from error
