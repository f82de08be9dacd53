"""
What a handler is told again at a user's next window, as it stands in Redis.

The finish of a window writes it, so it is exactly what was answered: a result that was refused, or
dropped because a person answered, is not in it. Each item is JSON; one that this version does not
know, or that another kind of handler wrote, is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from shared.model import Memory

TEXT_MAX_CHARS = 8000
"""How much of a text is remembered: a user who sends books must not fill Redis."""


class Said(Struct, frozen=True, kw_only=True, gc=False, tag_field="what", tag="said"):
    """One side of an exchange: what a user's window said, or what was answered."""

    role: Literal["user", "assistant"]
    text: str


class Thread(Struct, frozen=True, kw_only=True, gc=False, tag_field="what", tag="thread"):
    """The endpoint remembers by itself, under this id, which is its own."""

    id: str


_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Said | Thread] = msgspec.json.Decoder(Said | Thread)


def exchange(said: str, answered: Sequence[str], keep: int, keep_ms: int) -> Memory | None:
    """A window and its answer, to be remembered as the last of ``keep`` texts; None: of none."""
    if not keep:
        return None
    items = [
        Said(role="user", text=said[:TEXT_MAX_CHARS]),
        Said(role="assistant", text="\n".join(answered)[:TEXT_MAX_CHARS]),
    ]
    return Memory(items=tuple(_ENCODER.encode(item) for item in items), keep=keep, keep_ms=keep_ms)


def thread(thread_id: str, keep_ms: int) -> Memory:
    """An endpoint's own id of the conversation, in place of any before it."""
    return Memory(items=(_ENCODER.encode(Thread(id=thread_id)),), keep=1, keep_ms=keep_ms)


def said_in(items: Sequence[bytes], keep: int) -> list[Said]:
    """The last ``keep`` texts, oldest first; it begins with a user's: many models insist on it."""
    found = [item for item in map(_decode, items) if isinstance(item, Said)]
    found = found[-keep:] if keep else []
    return found[1:] if found and found[0].role == "assistant" else found


def thread_in(items: Sequence[bytes]) -> str | None:
    """The endpoint's id of the conversation, if there is one."""
    found = [item for item in map(_decode, items) if isinstance(item, Thread)]
    return found[-1].id if found else None


def _decode(item: bytes) -> Said | Thread | None:
    try:
        return _DECODER.decode(item)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
