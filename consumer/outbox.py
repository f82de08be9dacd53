"""A partition's outbox in Redis: one typed method per script, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from shared.connect import Pipe
from shared.errors import EntryUndecodable, Fenced, NotDurable
from shared.keys import PartitionKeys, conversation_hash
from shared.model import Conversation, EntryId, Token, WorkerId
from shared.record import DAMAGE, SendRecord, decode_send_record
from shared.scripts import load_script
from shared.sent_ids import keep_ms, note_sent
from shared.wire import FIELD, OutboxReply, decode_reply

PAGE = 100
"""Replies read at a time: their texts are let go of before the next page."""


RECORDS_AT_ONCE = 500
"""In one command: Redis answers nobody else meanwhile."""


class SendCode(IntEnum):
    """What became of the beginning of a send."""

    SENDING = 0
    CONFLICT = 1
    GONE = 2
    FENCED = 3


class Progress(NamedTuple):
    """How many of a reply's texts have left whole, and how many parts of the one behind them."""

    texts: int
    parts: int


NOTHING_SENT = Progress(0, 0)


class Watched(NamedTuple):
    """A conversation whose persons' messages mute it, each for so long."""

    conversation: Conversation
    mute_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """
    What became of the beginning of a send: which attempt it is, what has left before, and the
    reply; None also where it cannot be read.
    """

    code: SendCode
    attempt: int = 0
    progress: Progress = NOTHING_SENT
    reply: OutboxReply | None = None


class OutboxStore:
    """
    The scripts of one partition's outbox, spoken for one worker.

    ``send_pipe``: of a durability that the beginning of a send is to have, and with it everything
    before it on that primary, the window's finish above all.
    """

    def __init__(
        self, pipe: Pipe, keys: PartitionKeys, worker: WorkerId, send_pipe: Pipe | None = None
    ) -> None:
        self._pipe = pipe
        self._send_pipe = send_pipe or pipe
        self._keys = keys
        self._worker = worker

    @property
    def number(self) -> int:
        """The partition's."""
        return self._keys.number

    async def page(self, after: EntryId | None) -> list[tuple[EntryId, OutboxReply | None]]:
        """The next replies in the outbox after an id; None for one that cannot be read."""
        start = "-" if after is None else f"({after}"
        rows = await self._pipe.call("XRANGE", self._keys.outbox, start, "+", "COUNT", PAGE)
        return [(EntryId.parse(raw_id), _decode(values)) for raw_id, values in rows]

    async def whole(self, reply_id: EntryId) -> OutboxReply | None:
        """A reply as it stands in the outbox; None: it does not, or cannot be read."""
        at = str(reply_id)
        rows = await self._pipe.call("XRANGE", self._keys.outbox, at, at)
        return _decode(rows[0][1]) if rows else None

    async def sending(self) -> dict[EntryId, SendRecord]:
        """The records of every send that has begun, as far as they can be read."""
        return (await self.begun())[0]

    async def begun(self) -> tuple[dict[EntryId, SendRecord], list[tuple[bytes, bytes]]]:
        """The same; and field and value of those that cannot be read."""
        flat = await self._pipe.call("HGETALL", self._keys.sending)
        records: dict[EntryId, SendRecord] = {}
        damaged: list[tuple[bytes, bytes]] = []
        for field, value in zip(flat[::2], flat[1::2], strict=True):
            try:
                records[EntryId.parse(field)] = decode_send_record(value)
            except DAMAGE:
                damaged.append((field, value))
        return records, damaged

    async def records(self, reply_ids: Sequence[EntryId]) -> list[SendRecord | None]:
        """The records of some replies, None where there is none, or none that can be read."""
        found: list[SendRecord | None] = []
        for begin in range(0, len(reply_ids), RECORDS_AT_ONCE):
            ids = map(str, reply_ids[begin : begin + RECORDS_AT_ONCE])
            for value in await self._pipe.call("HMGET", self._keys.sending, *ids):
                try:
                    found.append(None if value is None else decode_send_record(value))
                except DAMAGE:
                    found.append(None)
        return found

    async def drop(self, epoch: int, field: bytes, value: bytes) -> None:
        """
        Delete a record that cannot be read, as it stands there.

        Raises:
            Fenced: it was not deleted.
        """
        keys = (self._keys.lease, self._keys.sending)
        args = (self._worker, epoch, field, value)
        [code] = await self._pipe.script(load_script("drop"), keys, args)
        if code == 0:
            raise Fenced(self._keys.number)

    async def send(
        self,
        epoch: int,
        reply_id: EntryId,
        replaces: Token | None,
        token: Token,
        watched: Watched | None = None,
    ) -> Begun:
        """
        Record that a reply is about to be sent, and fetch it.

        ``watched``: ``note_sent`` is to say when it has ended.

        Raises:
            Fenced: the lease is not ours.
            NotDurable: it is recorded, and a failover might still lose the window's finish: its
                ``answer`` is what would have been returned; do not send.
        """
        keys = [self._keys.lease, self._keys.sending, self._keys.outbox]
        args = (self._worker, epoch, str(reply_id), replaces or "", token)
        if watched is not None:
            keys.append(self._keys.human(*watched.conversation))
        kept_ms = 0 if watched is None else keep_ms(watched.mute_ms)
        try:
            answer = await self._send_pipe.script(load_script("send"), keys, (*args, kept_ms))
        except NotDurable as error:
            if error.answer is None:
                raise
            raise NotDurable(str(error), self._began(error.answer)) from error
        return self._began(answer)

    def _began(self, answer: list[Any]) -> Begun:
        code = SendCode(answer[0])
        if code is SendCode.FENCED:
            raise Fenced(self._keys.number)
        if code is not SendCode.SENDING:
            return Begun(code=code)
        _, attempt, texts, parts, reply = answer
        progress = Progress(texts, parts)
        return Begun(code=code, attempt=attempt, progress=progress, reply=_decode([FIELD, reply]))

    async def note_sent(
        self,
        conversation: Conversation,
        token: Token,
        ids: Sequence[str],
        mute_ms: int,
        *,
        unsure: bool,
    ) -> bool:
        """
        A send has ended: remember the ids of what has left. Always True, and repeatable.

        ``unsure``: something may have left whose id is not known.
        """
        return await note_sent(
            self._pipe, self._keys, conversation, ids, token=token, mute_ms=mute_ms, unsure=unsure
        )

    async def advance(self, reply_id: EntryId, token: Token, progress: Progress) -> bool:
        """Note what has left of a send that goes on. False: it is not ours any more."""
        args = (str(reply_id), token, *progress)
        answer = await self._pipe.script(load_script("advance"), (self._keys.sending,), args)
        return bool(answer == 0)

    async def unsend(
        self,
        reply_id: EntryId,
        token: Token,
        delay_ms: int,
        *,
        held: str = "",
        progress: Progress | None = None,
        counts: bool = True,
        error: str = "",
    ) -> bool:
        """Give a begun send back, for later or (``held``) for a person. False: not ours."""
        keys = (self._keys.sending, self._keys.lease, self._keys.bell)
        sent = ("", "") if progress is None else progress
        args = (str(reply_id), token, self._worker, delay_ms, held, *sent, int(counts), error)
        return bool(await self._pipe.script(load_script("unsend"), keys, args) == 0)

    async def sent(
        self, reply_id: EntryId, reply: OutboxReply, token: Token | None, what: str, keep_ms: int
    ) -> bool:
        """Move a reply to the journal as ``sent`` or ``kept``. False: the token is not ours."""
        keys, who = self._keys, conversation_hash(reply.instance, reply.user)
        own = (keys.sending, keys.outbox, keys.journal, keys.lease, keys.bell)
        answer = await self._pipe.script(
            load_script("sent"),
            (*own, *keys.both_seen_of(who)),
            (
                str(reply_id),
                token or "",
                self._worker,
                what,
                reply.window_id,
                who,
                keep_ms,
                reply.first_hash,
            ),
        )
        return bool(answer != 2)


def _decode(values: list[Any]) -> OutboxReply | None:
    try:
        return decode_reply(values[1])
    except (EntryUndecodable, IndexError):
        return None
