"""
What a handler is told again at a user's next window, as it stands in Redis.

The finish of a window writes it, so it is exactly what was answered: a result that was refused, or
dropped because a person answered, is not in it. Each item is JSON; one that this version does not
know, or that another kind of handler wrote, is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from shared.model import Memory

TEXT_MAX_CHARS = 8000
"""How much of a text is remembered: a user who sends books must not fill Redis."""


class Exchange(Struct, frozen=True, kw_only=True, gc=False, tag_field="what", tag="exchange"):
    """What a window said, and what was answered."""

    said: str
    answered: str


class Thread(Struct, frozen=True, kw_only=True, gc=False, tag_field="what", tag="thread"):
    """The endpoint remembers by itself, under this id, which is its own."""

    id: str


_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Exchange | Thread] = msgspec.json.Decoder(Exchange | Thread)


def remember_exchange(said: str, answered: Sequence[str], messages: int, ms: int) -> Memory | None:
    """A window and its answer, among the last so many ``messages``; None: none are remembered."""
    if messages < 2:
        return None
    texts = said[:TEXT_MAX_CHARS], "\n".join(answered)[:TEXT_MAX_CHARS]
    item = _ENCODER.encode(Exchange(said=texts[0], answered=texts[1]))
    return Memory(item=item, keep=messages // 2, keep_ms=ms)


def remember_thread(thread_id: str, ms: int) -> Memory:
    """An endpoint's own id of the conversation, in place of any before it."""
    return Memory(item=_ENCODER.encode(Thread(id=thread_id)), keep=1, keep_ms=ms)


def exchanges_in(items: Sequence[bytes], messages: int) -> list[Exchange]:
    """The exchanges that so many messages make, oldest first."""
    found = [item for item in map(_decode, items) if isinstance(item, Exchange)]
    return found[-(messages // 2) :] if messages > 1 else []


def thread_in(items: Sequence[bytes]) -> str | None:
    """The endpoint's id of the conversation, if there is one."""
    found = [item for item in map(_decode, items) if isinstance(item, Thread)]
    return found[-1].id if found else None


def _decode(item: bytes) -> Exchange | Thread | None:
    try:
        return _DECODER.decode(item)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
