"""
What stands in Redis as JSON, field by field: entries, dead windows, dead letters, replies.

msgspec reads and checks these in one pass, and refuses every other field and type: a bool is no
number, a whole float neither. ``shared.wire`` turns them into what the services pass around.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct

from shared.model import ClosedBy, Group, Int64, Kind, Media

VERSION: Literal[1] = 1

NO_RAW = Raw()
"""Stands for a field that is absent: msgspec takes no union with ``Raw``."""


class Written(Struct, gc=False, forbid_unknown_fields=True):
    """What stands in Redis as JSON; nothing but the fields of its class may stand there."""


class MessageBody(Written, omit_defaults=True):
    """
    A message but for its instance, which the stream's name tells; ``raw`` is read by orjson.

    The fields stand in the order that ``Message`` has them in, ``raw`` last.
    """

    user: str
    message_id: str
    received_at: Int64
    text: str = ""
    kind: Kind = Kind.TEXT
    sent_at: Int64 | None = None
    media: Media | None = None
    quoted: str | None = None
    name: str | None = None
    reply_to: str | None = None
    provider: str | None = None
    connection: str | None = None
    group: Group | None = None
    with_human: bool = False
    trace: str | None = None
    raw: Raw = NO_RAW


class EntryBody(MessageBody, kw_only=True):
    """A stream entry with a message."""

    v: Literal[1]


class MemberBody(MessageBody, kw_only=True):
    """A message in a dead window, with the id that its entry had."""

    entry_id: str


class WindowBody(Written, kw_only=True):
    """A dead window whole, with every message."""

    window_id: str
    instance: str
    user: str
    closed_by: ClosedBy
    opened_at: Int64
    closed_at: Int64
    entries: Annotated[tuple[MemberBody, ...], Meta(min_length=1)]


class ReplayBody(Written, kw_only=True):
    """A stream entry that hands a dead window over again."""

    v: Literal[1]
    window: WindowBody


class LetterBody(Written, kw_only=True):
    """A dead letter; ``raw`` is an entry that could not be read."""

    v: Literal[1]
    window: WindowBody | None
    error: str
    attempts: Int64
    instance: str
    raw: str | None = None


class ReplyBody(Written, kw_only=True, omit_defaults=True):
    """A reply in the outbox; ``metadata`` is what else the handler's answer held."""

    v: Literal[1]
    window_id: str
    instance: str
    user: str
    texts: tuple[str, ...]
    provider: str | None
    reply_to: str | None
    message_ids: tuple[str, ...]
    connection: str | None = None
    metadata: dict[str, Any] = {}


class Outline(Struct):
    """Of a value that could not be read, what tells why."""

    v: Any = None
    window: Raw = NO_RAW
