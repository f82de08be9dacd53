"""
How entries, dead letters and replies are written in Redis: one encode and one decode per type.

Everything is JSON with a version ``v``; absent fields mean their defaults. Decoding is strict:
what no version explains raises ``EntryUndecodable``, and that entry alone becomes a dead letter.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
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

_MESSAGE_FIELDS = tuple(field.name for field in fields(Message) if field.name != "instance")
_MEDIA_FIELDS = tuple(field.name for field in fields(Media))
_MESSAGE_DEFAULTS: dict[str, Any] = {"text": "", "kind": Kind.TEXT}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "user": str,
    "message_id": str,
    "text": str,
    "received_at": int,
    "sent_at": (int, type(None)),
}


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
    for name, expected in _TYPES.items():
        if name in body and not isinstance(body[name], expected):
            raise EntryUndecodable(f"field {name} has the wrong type")
    values = {name: body[name] for name in _MESSAGE_FIELDS if name in body}
    if "kind" in values:
        values["kind"] = Kind(values["kind"])
    if "media" in values:
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
        body = orjson.loads(values[1])
        if body.pop("v") != VERSION:
            raise EntryUndecodable("the entry has another version")
        window = body.pop("window", None)
        if window is not None:
            replayed = window_from_dict(window)
            message = replayed.entries[0].message
            return Entry(id=EntryId.parse(entry_id), message=message, replayed=replayed)
        message = _message_from_dict(instance, body)
        return Entry(id=EntryId.parse(entry_id), message=message)
    except EntryUndecodable:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise EntryUndecodable(f"the entry cannot be read: {type(error).__name__}") from error


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
    """The inverse of ``window_to_dict``."""
    instance = body["instance"]
    entries = []
    for member in body["entries"]:
        rest = {name: value for name, value in member.items() if name != "entry_id"}
        message = _message_from_dict(instance, rest)
        entries.append(Entry(id=EntryId.parse(member["entry_id"]), message=message))
    return Window(
        id=WindowId(body["window_id"]),
        instance=instance,
        user=body["user"],
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
        body = orjson.loads(value)
        if body.pop("v") != VERSION:
            raise EntryUndecodable("the dead letter has another version")
        window = body.pop("window")
        return DeadLetter(window=None if window is None else window_from_dict(window), **body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
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
        body = orjson.loads(value)
        if body.pop("v") != VERSION:
            raise EntryUndecodable("the reply has another version")
        body["texts"] = tuple(body["texts"])
        body["message_ids"] = tuple(body["message_ids"])
        return OutboxReply(**body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EntryUndecodable(f"the reply cannot be read: {error}") from error
