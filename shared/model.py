"""
What passes between the services: messages, entries, windows, replies.

All values are frozen. Points in time (``sent_at``, ``received_at``, ``opened_at``,
``closed_at``) are milliseconds since the epoch; spans carry ``_ms`` in their name.

What every message passes through is a ``msgspec.Struct``: made, compared and (in ``shared.wire``)
written and read in C. ``gc=False``: they hold values only, and can be in no cycle.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Any, NewType

from msgspec import Meta, Struct

WindowId = NewType("WindowId", str)
Token = NewType("Token", str)
WorkerId = NewType("WorkerId", str)

Conversation = tuple[str, str]
"""(instance, user): what is gathered, ordered and answered together."""

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A number as JSON's encoders carry it; a larger one could be read and not be written again."""


class Kind(StrEnum):
    """What sort of thing a user sent. A kind that no provider page explains is ``UNKNOWN``."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    DOCUMENT = "document"
    STICKER = "sticker"
    LOCATION = "location"
    CONTACT = "contact"
    BUTTON = "button"
    LIST = "list"
    REACTION = "reaction"
    UNKNOWN = "unknown"


class ClosedBy(StrEnum):
    """
    Why a window closed; also the label ``reason`` of ``inturn_windows_closed_total``.

    ``FLUSH``: its last message asked for it, or what came behind is a window by itself. ``BYPASS``:
    its only message asked to be handled alone, or was handled while Redis was away.
    """

    MAX_WAIT = "max_wait"
    MAX_MESSAGES = "max_messages"
    QUIET = "quiet"
    FLUSH = "flush"
    BYPASS = "bypass"
    PASS_THROUGH = "pass_through"
    CLOCK = "clock"
    REPLAY = "replay"


class Media(
    Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True
):
    """
    A file that came with a message.

    ``omitted`` says that the bytes were cut out for their size; ``url`` or ``id`` (the
    provider's) is what fetches them. ``data`` is base64, only below ``MEDIA_INLINE_BYTES``.
    """

    url: str | None = None
    id: str | None = None
    mime: str | None = None
    caption: str | None = None
    name: str | None = None
    size_bytes: Int64 | None = None
    duration_s: Int64 | None = None
    data: str | None = None
    omitted: bool = False


class Group(
    Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True
):
    """The group chat that a message was written in, and who of it wrote it."""

    id: str
    author: str


class Message(Struct, frozen=True, gc=False):
    """
    One thing a user sent, as every provider's payload is normalised.

    ``message_id`` is what dedupe compares, within one conversation. ``sent_at`` is the
    provider's time (None: it gave none); ``received_at`` is the ingest's. ``reply_to`` is the
    provider's own address for an answer, opaque to everything but that provider. ``group`` is
    None in a direct chat. ``connection`` is what it came through, where the settings do not name
    the instance. ``with_human``: a person has the conversation, so it is kept and not answered.
    ``trace`` is that of the request that brought it, as ``shared.traceparent`` reads it.
    """

    instance: str
    user: str
    message_id: str
    received_at: int
    text: str = ""
    kind: Kind = Kind.TEXT
    sent_at: int | None = None
    media: Media | None = None
    quoted: str | None = None
    name: str | None = None
    reply_to: str | None = None
    provider: str | None = None
    connection: str | None = None
    group: Group | None = None
    with_human: bool = False
    trace: str | None = None
    raw: Any = None


class EntryId(Struct, frozen=True, order=True, gc=False):
    """A stream entry's id: Redis's milliseconds and sequence. Orders as the stream does."""

    ms: int
    seq: int

    @classmethod
    def parse(cls, raw: bytes | str) -> EntryId:
        """``b"1700000000000-3"`` or its text."""
        ms, _, seq = raw.partition(b"-") if isinstance(raw, bytes) else raw.partition("-")
        return cls(int(ms), int(seq))

    def __str__(self) -> str:
        return f"{self.ms}-{self.seq}"


class Entry(Struct, frozen=True, kw_only=True, gc=False):
    """
    A message's record in a stream.

    An entry of a replay carries the dead window whole in ``replayed``; ``message`` is then its
    first member. ``size_bytes`` is what its value takes in the stream; 0: not known. ``matched``:
    BYPASS or FLUSH, which of its instance's patterns the message matches. Of one that ``is_bare``
    only these, id, conversation and connection are true: the rest stands in the stream.
    """

    id: EntryId
    message: Message
    replayed: Window | None = None
    size_bytes: int = 0
    is_bare: bool = False
    matched: ClosedBy | None = None


class Window(Struct, frozen=True, kw_only=True, gc=False):
    """
    A user's run of consecutive entries that is handled together; its extent is frozen.

    ``entries`` are in stream order; they are what finish removes. ``id`` is the idempotency
    key: the same after any crash, on any worker.
    """

    id: WindowId
    instance: str
    user: str
    entries: tuple[Entry, ...]
    closed_by: ClosedBy
    opened_at: int
    closed_at: int

    @property
    def conversation(self) -> Conversation:
        """Whose window it is."""
        return (self.instance, self.user)

    @property
    def members(self) -> tuple[Entry, ...]:
        """The messages' own entries; of a replayed window those that it had at first."""
        replayed = self.entries[0].replayed
        return self.entries if replayed is None else replayed.entries

    def in_sent_order(self) -> tuple[Entry, ...]:
        """
        The members as the user wrote them: by the provider's time, then by entry id.

        If any member lacks the provider's time, by entry id alone.
        """
        members = self.members
        times = [at for entry in members if (at := entry.message.sent_at) is not None]
        if len(times) < len(members) or times == sorted(times):
            return members
        return tuple(sorted(members, key=lambda e: (e.message.sent_at, e.id)))


_WINDOW_HASH = hashlib.blake2b(digest_size=16, person=b"inturn-window")

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_BASE32_PAIRS = tuple(first + second for first in _BASE32 for second in _BASE32)
_PAIR_SHIFTS = range(120, -1, -10)


def window_id(instance: str, user: str, first: EntryId) -> WindowId:
    """``w_`` and 26 base32 characters: a function of who and the first entry, opaque to others."""
    hashed = _WINDOW_HASH.copy()
    hashed.update(f"{instance}\0{user}\0{first}".encode())
    # 128 bits and the two that base32 fills up with: what b32encode writes, in half its time.
    bits = int.from_bytes(hashed.digest(), "big") << 2
    return WindowId("w_" + "".join([_BASE32_PAIRS[bits >> at & 1023] for at in _PAIR_SHIFTS]))


class Memory(Struct, frozen=True, kw_only=True, gc=False):
    """
    What a handler is to be told again at the user's next window: ``item``, the last of ``keep``.

    All of them are forgotten ``keep_ms`` after the last of them came.
    """

    item: bytes
    keep: int
    keep_ms: int


class Reply(Struct, frozen=True, gc=False):
    """
    A handler's answer: ``texts`` go to the user in order, as separate messages, as they are.

    ``metadata`` is what else the answer held: a JSON object that is kept with the reply, and shown.
    ``memory`` is kept in the same moment as the reply, or not at all. ``mute_ms``: for how long the
    user is muted from that moment on.
    """

    texts: tuple[str, ...]
    metadata: dict[str, Any] = {}
    memory: Memory | None = None
    mute_ms: int = 0

    def __hash__(self) -> int:
        return hash(self.texts)


class Silence(Struct, frozen=True, kw_only=True, gc=False):
    """
    The handler answered that nothing is to be sent. ``reason`` is for the log.

    ``unread``: it answered something in which no reply was found. ``mute_ms``: as in a ``Reply``.
    """

    reason: str = "no reply"
    unread: bool = False
    mute_ms: int = 0


class Retry(Struct, frozen=True, kw_only=True, gc=False):
    """The attempt failed and counts; ``after_ms`` is what the endpoint asked for, if it did."""

    error: str
    after_ms: int | None = None


class Unavailable(Struct, frozen=True, kw_only=True, gc=False):
    """The endpoint, not the window, is at fault: try again without counting."""

    error: str
    after_ms: int | None = None


class Rejected(Struct, frozen=True, kw_only=True, gc=False):
    """This window can never be answered: a dead letter at once."""

    error: str


Result = Reply | Silence | Retry | Unavailable | Rejected
"""What one attempt came to."""
