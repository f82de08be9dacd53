"""
Replies that have not left: list them, look at one, have it sent after all, throw it away.

What a person has to decide about is *held* (a send that a crash cut off, two bots that talk, no
channel any more) or *failed* (the provider refused it). Nothing here depends on a worker: the
partition's owner hears of a decision by its bell, or looks by itself within seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Any

from shared.errors import EntryUndecodable
from shared.keys import Keys, conversation_hash
from shared.model import EntryId
from shared.pipe import Pipe
from shared.placed import PlacedId
from shared.record import DAMAGE, SendRecord, decode_send_record
from shared.scripts import load_script
from shared.trace.whereabouts import ReplyState, reply_state
from shared.wire import OutboxReply, decode_reply

SCAN_COUNT = 500
"""Records of one step through a partition's sends: Redis answers nobody else while it is made."""


RESENT_AT_ONCE = 200
"""Replies of one call that has all of them sent: who waits for the answer shows it to a person."""


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


GONE = "no such reply in the outbox: it was sent or discarded already"

RESEND_SAYS: Mapping[ResendCode, str] = MappingProxyType(
    {
        ResendCode.RELEASED: "to be sent",
        ResendCode.GONE: GONE,
        ResendCode.NOT_HELD: "waits for nobody: it is being sent, or will be by itself",
    }
)
DISCARD_SAYS: Mapping[DiscardCode, str] = MappingProxyType(
    {
        DiscardCode.DISCARDED: "discarded",
        DiscardCode.GONE: GONE,
        DiscardCode.SENDING: "not discarded: it is being sent right now",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepliesPage:
    """Some replies; ``next``: where the look goes on, None: at the end."""

    replies: tuple[UnsentReply, ...]
    next: ReplyId | None
    undecided: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendPage:
    """What became of some; ``next``: where it goes on, None: it is done."""

    codes: tuple[ResendCode, ...]
    next: ReplyId | None
    until: ReplyId | None


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

    async def newest(self, limit: int, before: ReplyId | None = None) -> list[UnsentReply]:
        """The newest ``limit`` that have not left, of those before ``before``, newest first."""
        numbers = range(self._keys.partitions)
        pages = await asyncio.gather(*(self._newest_in(n, limit, before) for n in numbers))
        rows = [(_placed(row[0], n), row[1]) for n, page in enumerate(pages) for row in page]
        newest = sorted(rows, reverse=True)[:limit]
        return list(await asyncio.gather(*(self._with_record(*row) for row in newest)))

    async def page(self, limit: int, before: ReplyId | None, *, every: bool) -> RepliesPage:
        """The newest ``limit`` before ``before`` that wait for a person, or of ``every`` one."""
        undecided = await self.undecided_ids()
        if every:
            found = await self.newest(limit + 1, before)
            ids = [reply.id for reply in found]
        else:
            ids = [one for one in reversed(undecided) if before is None or one < before]
            found = await self.shown(ids[:limit])
        return RepliesPage(
            replies=tuple(found[:limit]),
            next=ids[limit - 1] if len(ids) > limit else None,
            undecided=len(undecided),
        )

    async def resend_page(self, until: ReplyId | None, after: ReplyId | None) -> ResendPage:
        """
        Have some of those sent that wait for a person, oldest first, none newer than ``until``.

        None bounds it by the newest that waits now. Call it with ``next`` until that is None: what
        is held anew meanwhile keeps its id and is not met a second time.
        """
        undecided = await self.undecided_ids()
        until = until or (undecided[-1] if undecided else None)
        meant = [
            one
            for one in undecided
            if until is not None and one <= until and (after is None or one > after)
        ]
        codes = [await self.resend(reply_id) for reply_id in meant[:RESENT_AT_ONCE]]
        is_done = len(meant) <= RESENT_AT_ONCE
        following = None if is_done else meant[RESENT_AT_ONCE - 1]
        return ResendPage(codes=tuple(codes), next=following, until=until)

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

    async def _newest_in(self, number: int, limit: int, before: ReplyId | None) -> list[Any]:
        begin = "+"
        if before is not None:
            begin = str(before.entry) if number < before.partition else f"({before.entry}"
        outbox = self._keys.partition(number).outbox
        rows: list[Any] = await self._pipe.call("XREVRANGE", outbox, begin, "-", "COUNT", limit)
        return rows

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
