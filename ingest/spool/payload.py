"""
What a record of the spool says: a message, or that one was handled while Redis was away.

Two lines of JSON: a head, then the message or its reply as ``shared.wire`` writes it, so that
what is replayed is byte for byte what would have been written. A line feed cannot occur in either.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import orjson

from shared.errors import EntryUndecodable
from shared.model import EntryId, Message
from shared.wire import OutboxReply, decode_message, decode_reply, encode_message, encode_reply

VERSION = 1

_MESSAGE, _OUTCOME, _ERASED = "message", "outcome", "erased"
_ERASED_BEGINS = orjson.dumps({"v": VERSION, "what": _ERASED}) + b"\n"
_OUTCOME_BEGINS = orjson.dumps({"v": VERSION, "what": _OUTCOME})[:-1]

MessageKey = tuple[str, str, str]
"""(instance, user, message id): what makes a message the same one."""


class Became(StrEnum):
    """What became of a message that was handled while Redis was away."""

    ANSWERED = "answered"
    """There is a reply that was not sent, or not to its end."""
    SENT = "sent"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """A message in the spool, since ``at`` (ms since the epoch, by this machine's clock)."""

    message: Message
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    That a message was handled: Redis is to remember it, and not to hand it over again.

    ``entry_id`` stands for the entry that it never had. ``reply`` is what is still to be sent,
    ``sent_ids`` what the provider calls the texts that have left.
    """

    key: MessageKey
    entry_id: EntryId
    became: Became
    reply: OutboxReply | None = None
    sent_ids: tuple[str, ...] = ()


class Erased:
    """What stands where a record of somebody stood who is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Whose a record is, and when it came (ms since the epoch, by this machine's clock)."""

    instance: str
    user: str
    at: int


def key_of(message: Message) -> MessageKey:
    """By what an ``Outcome`` knows a message."""
    return (message.instance, message.user, message.message_id)


def encode_spooled(spooled: Spooled) -> bytes:
    """The payload of a message's record."""
    head = {"v": VERSION, "what": _MESSAGE, "instance": spooled.message.instance, "at": spooled.at}
    return orjson.dumps(head) + b"\n" + encode_message(spooled.message)


def encode_outcome(outcome: Outcome) -> bytes:
    """The payload of an outcome's record."""
    head = {
        "v": VERSION,
        "what": _OUTCOME,
        "key": outcome.key,
        "entry_id": str(outcome.entry_id),
        "became": outcome.became,
        "sent_ids": outcome.sent_ids,
    }
    reply = b"" if outcome.reply is None else encode_reply(outcome.reply)
    return orjson.dumps(head) + b"\n" + reply


def is_outcome(payload: bytes) -> bool:
    """Without decoding it; the others are messages."""
    return payload.startswith(_OUTCOME_BEGINS)


def erased(size: int) -> bytes:
    """The payload of an ``Erased`` that takes another one's place: just as long."""
    return _ERASED_BEGINS.ljust(size)


def named_in(payload: bytes) -> Named | None:
    """Of any version that says so; None: it says of nobody, or it is erased."""
    try:
        first, _, value = payload.partition(b"\n")
        head = orjson.loads(first)
        if "key" in head:
            instance, user, _ = head["key"]
            at = EntryId.parse(str(head["entry_id"])).ms
        else:
            instance, user, at = head["instance"], orjson.loads(value)["user"], head["at"]
        return Named(instance=str(instance), user=str(user), at=int(at))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def decode_record(payload: bytes) -> Spooled | Outcome | Erased:
    """
    The inverse of ``encode_spooled``, ``encode_outcome`` and ``erased``.

    Raises:
        EntryUndecodable: of a later version; what is damaged has not come so far.
    """
    try:
        first, _, value = payload.partition(b"\n")
        head = orjson.loads(first)
        if head["v"] != VERSION or head["what"] not in (_MESSAGE, _OUTCOME, _ERASED):
            raise EntryUndecodable("the record has another version")
        if head["what"] == _ERASED:
            return Erased()
        if head["what"] == _MESSAGE:
            return Spooled(message=decode_message(str(head["instance"]), value), at=int(head["at"]))
        instance, user, message_id = head["key"]
        return Outcome(
            key=(str(instance), str(user), str(message_id)),
            entry_id=EntryId.parse(str(head["entry_id"])),
            became=Became(head["became"]),
            reply=decode_reply(value) if value else None,
            sent_ids=tuple(str(sent_id) for sent_id in head.get("sent_ids", ())),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EntryUndecodable(f"the record cannot be read: {type(error).__name__}") from error
