"""
What a record of the spool says: one message, exactly as it would stand in its stream.

Two lines of JSON: a head, then the message as ``shared.wire`` writes it, so that what is replayed
is byte for byte what would have been appended. A line feed cannot occur inside either.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from shared.errors import EntryUndecodable
from shared.model import Message
from shared.wire import decode_message, encode_message

VERSION = 1

MESSAGE = "message"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """A message in the spool, since ``at`` (ms since the epoch, by this machine's clock)."""

    message: Message
    at: int


def encode_spooled(spooled: Spooled) -> bytes:
    """The payload of a message's record."""
    head = {"v": VERSION, "what": MESSAGE, "instance": spooled.message.instance, "at": spooled.at}
    return orjson.dumps(head) + b"\n" + encode_message(spooled.message)


def decode_spooled(payload: bytes) -> Spooled:
    """
    The inverse of ``encode_spooled``.

    Raises:
        EntryUndecodable: of a later version; what is damaged has not come so far.
    """
    try:
        first, _, value = payload.partition(b"\n")
        head = orjson.loads(first)
        if head["v"] != VERSION or head["what"] != MESSAGE:
            raise EntryUndecodable("the record has another version")
        return Spooled(message=decode_message(str(head["instance"]), value), at=int(head["at"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EntryUndecodable(f"the record cannot be read: {type(error).__name__}") from error
