"""
How entries, dead letters and replies are written in Redis: one encode and one decode per type.

Everything is JSON with a version ``v``; absent fields mean their defaults. Decoding is strict:
what no version explains raises ``EntryUndecodable``, and that entry alone becomes a dead letter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from msgspec import Raw, ValidationError
from msgspec.json import Decoder, Encoder
from msgspec.structs import astuple

from shared.errors import EntryUndecodable
from shared.keys import message_hash
from shared.model import Entry, EntryId, Message, Window, WindowId
from shared.written import (
    NO_RAW,
    VERSION,
    EntryBody,
    LetterBody,
    MemberBody,
    MessageBody,
    Outline,
    ReplayBody,
    ReplyBody,
    WindowBody,
)

FIELD = b"m"
"""The one field of a stream entry."""

_DAMAGE = (ValueError, RecursionError)
"""What reading raises of a value that is not as it was written; msgspec's are ValueErrors."""

_RAW = MessageBody.__struct_fields__.index("raw")

_ENCODER = Encoder()
_ENTRY = Decoder(EntryBody)
_REPLAY = Decoder(ReplayBody)
_LETTER = Decoder(LetterBody)
_REPLY = Decoder(ReplyBody)
_OUTLINE = Decoder(Outline)


def encode_message(message: Message) -> bytes:
    """The value of an entry's field; the instance is in the stream's name, not here."""
    return _ENCODER.encode(EntryBody(*_fields_of(message), v=VERSION))


def _fields_of(message: Message) -> tuple[Any, ...]:
    """
    What a ``MessageBody`` holds, by position; without ``raw`` where there is none.

    By name it would cost three times as much: Python makes a dict for more than fifteen.
    """
    fields = astuple(message)[1:-1]
    return fields if message.raw is None else (*fields, Raw(orjson.dumps(message.raw)))


def _message_of(instance: str, body: MessageBody) -> Message:
    """The inverse of ``_fields_of``."""
    fields = astuple(body)[:_RAW]
    if body.raw is not NO_RAW:
        fields = (*fields, orjson.loads(bytes(body.raw)))
    return Message(instance, *fields)


def decode_entry(instance: str, entry_id: bytes, values: bytes | list[bytes]) -> Entry:
    """
    ``values``: the value of the only field m; or field, value, ... as Redis gives them.

    Raises:
        EntryUndecodable: not ours, damaged, or of a later version.
    """
    value = values if isinstance(values, bytes) else _only_value(values)
    replayed: Window | None = None
    try:
        read_id = EntryId.parse(entry_id)
        message = _message_of(instance, _ENTRY.decode(value))
    except ValidationError as error:
        replayed = _replayed_window(instance, value, error)
        message = replayed.entries[0].message
    except _DAMAGE as error:
        raise _undecodable("entry", value, error) from error
    return Entry(id=read_id, message=message, replayed=replayed, size_bytes=len(value))


def _only_value(values: list[bytes]) -> bytes:
    if len(values) != 2 or values[0] != FIELD:
        raise EntryUndecodable("the entry does not have exactly the field m")
    return values[1]


def _replayed_window(instance: str, value: bytes, error: ValidationError) -> Window:
    """The window in an entry that is not a message, which ``error`` found."""
    try:
        if _OUTLINE.decode(value).window is NO_RAW:
            raise error
        window = _window_of(_REPLAY.decode(value).window)
    except _DAMAGE as damage:
        raise _undecodable("entry", value, damage) from damage
    if window.instance != instance:
        raise EntryUndecodable("the window is another instance's")
    return window


def _undecodable(what: str, value: bytes, error: Exception) -> EntryUndecodable:
    try:
        is_ours = _OUTLINE.decode(value).v == VERSION
    except _DAMAGE:
        is_ours = True
    claim = f"cannot be read: {error}" if is_ours else "has another version"
    return EntryUndecodable(f"the {what} {claim}")


def decode_message(instance: str, value: bytes) -> Message:
    """
    The inverse of ``encode_message``.

    Raises:
        EntryUndecodable: damaged, or of a later version.
    """
    try:
        return _message_of(instance, _ENTRY.decode(value))
    except _DAMAGE as error:
        raise _undecodable("message", value, error) from error


def _written_window(window: Window) -> WindowBody:
    """A window whole, with every message: what a dead letter keeps."""
    return WindowBody(
        window_id=window.id,
        instance=window.instance,
        user=window.user,
        closed_by=window.closed_by,
        opened_at=window.opened_at,
        closed_at=window.closed_at,
        entries=tuple(_member_of(entry) for entry in window.members),
    )


def _member_of(entry: Entry) -> MemberBody:
    return MemberBody(*_fields_of(entry.message), entry_id=str(entry.id))


def _window_of(body: WindowBody) -> Window:
    """The inverse of ``_written_window``: one user's messages."""
    if any(member.user != body.user for member in body.entries):
        raise EntryUndecodable("a window holds another user's message")
    return Window(
        id=WindowId(body.window_id),
        instance=body.instance,
        user=body.user,
        entries=tuple(
            Entry(id=EntryId.parse(member.entry_id), message=_message_of(body.instance, member))
            for member in body.entries
        ),
        closed_by=body.closed_by,
        opened_at=body.opened_at,
        closed_at=body.closed_at,
    )


def encode_replay(window: Window) -> bytes:
    """The entry that hands a dead window over again, whole."""
    return _ENCODER.encode(ReplayBody(v=VERSION, window=_written_window(window)))


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
    return _ENCODER.encode(
        LetterBody(
            v=VERSION,
            window=None if letter.window is None else _written_window(letter.window),
            error=letter.error,
            attempts=letter.attempts,
            instance=letter.instance,
            raw=letter.raw,
        )
    )


def decode_dead_letter(value: bytes) -> DeadLetter:
    """
    The inverse of ``encode_dead_letter``.

    Raises:
        EntryUndecodable: damaged, or of a later version.
    """
    try:
        body = _LETTER.decode(value)
        window = None if body.window is None else _window_of(body.window)
    except _DAMAGE as error:
        raise _undecodable("dead letter", value, error) from error
    if window is not None and window.instance != body.instance:
        raise EntryUndecodable("the window is another instance's")
    return DeadLetter(
        window=window,
        error=body.error,
        attempts=body.attempts,
        instance=body.instance,
        raw=body.raw,
    )


def buried_entry(letter: DeadLetter) -> bytes | None:
    """The entry that could not be decoded, if this version can: the value of its field."""
    field, _, value = (letter.raw or "").encode().partition(b" ")
    try:
        decode_entry(letter.instance, b"0-1", [field, value])
    except EntryUndecodable:
        return None
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxReply:
    """A reply in the outbox: what to say, to whom, for which window; ``metadata`` is not sent."""

    window_id: WindowId
    instance: str
    user: str
    texts: tuple[str, ...]
    provider: str | None
    reply_to: str | None
    message_ids: tuple[str, ...]
    connection: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def first_hash(self) -> bytes:
        """By which dedupe knows the window's first message: the ids stand in stream order."""
        return message_hash(self.message_ids[0]) if self.message_ids else b""


def encode_reply(reply: OutboxReply) -> bytes:
    """The value of an outbox entry's field."""
    return _ENCODER.encode(
        ReplyBody(
            v=VERSION,
            window_id=reply.window_id,
            instance=reply.instance,
            user=reply.user,
            texts=reply.texts,
            provider=reply.provider,
            reply_to=reply.reply_to,
            message_ids=reply.message_ids,
            connection=reply.connection,
            metadata=reply.metadata,
        )
    )


def decode_reply(value: bytes) -> OutboxReply:
    """
    The inverse of ``encode_reply``.

    Raises:
        EntryUndecodable: damaged, or of a later version.
    """
    try:
        body = _REPLY.decode(value)
    except _DAMAGE as error:
        raise _undecodable("reply", value, error) from error
    return OutboxReply(
        window_id=WindowId(body.window_id),
        instance=body.instance,
        user=body.user,
        texts=body.texts,
        provider=body.provider,
        reply_to=body.reply_to,
        message_ids=body.message_ids,
        connection=body.connection,
        metadata=body.metadata,
    )
