"""
Replies that have not left: list them, look at one, have it sent after all, throw it away.

What a person has to decide about is *held* (a send that a crash cut off, two bots that talk, no
channel any more) or *failed* (the provider refused it). Nothing here depends on a worker: the
partition's owner hears of a decision by its bell, or looks by itself within seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from shared.connect import Pipe
from shared.errors import EntryUndecodable
from shared.keys import Keys, conversation_hash
from shared.model import EntryId
from shared.placed import PlacedId
from shared.record import DAMAGE, SendRecord, decode_send_record
from shared.scripts import load_script
from shared.trace.whereabouts import ReplyState, reply_state
from shared.wire import OutboxReply, decode_reply

SCAN_COUNT = 500
"""Records of one step through a partition's sends: Redis answers nobody else while it is made."""


class ReplyId(PlacedId):
    """Where a reply is."""

    __slots__ = ()
    what = "a reply"


class ResendCode(IntEnum):
    """What became of a resend; ``NOT_HELD`` is also what a repeated call is told."""

    RELEASED = 0
    GONE = 1
    NOT_HELD = 2


class DiscardCode(IntEnum):
    """What became of a discard; ``GONE`` is also what a repeated call is told."""

    DISCARDED = 0
    GONE = 1
    SENDING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsentReply:
    """
    A reply in the outbox. ``reply`` is None when it cannot be read; ``record`` before its first
    send, and when that cannot be read.
    """

    id: ReplyId
    reply: OutboxReply | None
    record: SendRecord | None
    raw: bytes

    @property
    def state(self) -> ReplyState:
        """Without a channel it is kept, which only the settings know: it looks as if it waited."""
        return reply_state(self.record)


class Unsent:
    """
    The outboxes of all partitions.

    Every method may raise ``BrokerUnavailable`` (no answer) or ``BrokerRefused``; each may be
    called again then, with the same arguments, and does nothing twice.
    """

    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys

    async def undecided_ids(self) -> list[ReplyId]:
        """The replies that wait for a person, oldest first."""
        numbers = range(self._keys.partitions)
        found = await asyncio.gather(*(self._held_in(number) for number in numbers))
        return sorted(reply_id for ids in found for reply_id in ids)

    async def newest(self, limit: int) -> list[UnsentReply]:
        """The newest ``limit`` of all replies that have not left, newest first."""
        outboxes = [self._keys.partition(n).outbox for n in range(self._keys.partitions)]
        command = ("XREVRANGE", "+", "-", "COUNT", limit)
        pages = await asyncio.gather(
            *(self._pipe.call(command[0], outbox, *command[1:]) for outbox in outboxes)
        )
        rows = [(_placed(row[0], n), row[1]) for n, page in enumerate(pages) for row in page]
        newest = sorted(rows, reverse=True)[:limit]
        return list(await asyncio.gather(*(self._with_record(*row) for row in newest)))

    async def show(self, reply_id: ReplyId) -> UnsentReply | None:
        """One reply whole; None when it is not in the outbox (any more)."""
        if reply_id.partition >= self._keys.partitions:
            return None
        at = str(reply_id.entry)
        outbox = self._keys.partition(reply_id.partition).outbox
        rows = await self._pipe.call("XRANGE", outbox, at, at)
        return await self._with_record(reply_id, rows[0][1]) if rows else None

    async def shown(self, reply_ids: Sequence[ReplyId]) -> list[UnsentReply]:
        """Those of some replies that are still there, in their order."""
        found = await asyncio.gather(*(self.show(reply_id) for reply_id in reply_ids))
        return [reply for reply in found if reply is not None]

    async def resend(self, reply_id: ReplyId) -> ResendCode:
        """
        Have a held or failed reply sent: what has not left of it, before the user's later ones.

        What held it may hold it again. The handler is not called.
        """
        if reply_id.partition >= self._keys.partitions:
            return ResendCode.GONE
        p = self._keys.partition(reply_id.partition)
        keys = (p.sending, p.outbox, p.bell)
        args = (str(reply_id.entry),)
        return ResendCode(await self._pipe.script(load_script("resend"), keys, args))

    async def discard(self, reply_id: ReplyId) -> DiscardCode:
        """Delete a reply for ever, unless a worker is sending it."""
        kept = await self.show(reply_id)
        if kept is None:
            return DiscardCode.GONE
        window, who, first_hash = "", "", b""
        if kept.reply is not None:
            window, first_hash = kept.reply.window_id, kept.reply.first_hash
            who = conversation_hash(kept.reply.instance, kept.reply.user)
        p = self._keys.partition(reply_id.partition)
        keys = (p.sending, p.outbox, p.journal, p.bell, *p.both_seen_of(who))
        args = (str(reply_id.entry), window, who, first_hash)
        return DiscardCode(await self._pipe.script(load_script("discard"), keys, args))

    async def _held_in(self, number: int) -> list[ReplyId]:
        sending, cursor = self._keys.partition(number).sending, b"0"
        found = []
        while True:
            command = ("HSCAN", sending, cursor, "COUNT", SCAN_COUNT)
            cursor, flat = await self._pipe.call(*command)
            for field, value in zip(flat[::2], flat[1::2], strict=True):
                record = _decoded_record(value)
                if record is not None and record.held:
                    found.append(_placed(field, number))
            if int(cursor) == 0:
                return list(dict.fromkeys(found))  # a scan may tell of one twice

    async def _with_record(self, reply_id: ReplyId, values: list[Any]) -> UnsentReply:
        sending = self._keys.partition(reply_id.partition).sending
        value = await self._pipe.call("HGET", sending, str(reply_id.entry))
        raw: bytes = values[1] if len(values) == 2 else b" ".join(values)
        try:
            reply = decode_reply(raw)
        except EntryUndecodable:
            reply = None
        return UnsentReply(
            id=reply_id,
            reply=reply,
            record=None if value is None else _decoded_record(value),
            raw=raw,
        )


def _placed(entry: bytes, number: int) -> ReplyId:
    return ReplyId(EntryId.parse(entry), number)


def _decoded_record(value: bytes) -> SendRecord | None:
    try:
        return decode_send_record(value)
    except DAMAGE:
        return None
