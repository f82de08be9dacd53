"""
A partition's replies: what waits in the outbox, in Redis and in the owner's memory.

One user's replies leave in order, one at a time. A reply without a channel (no provider, or no
credentials for it) is kept to be read through the API until ``retention_ms`` are over.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import structlog

from shared.connect import Pipe
from shared.errors import EntryUndecodable, Fenced, NotDurable
from shared.keys import PartitionKeys, conversation_hash
from shared.model import Conversation, EntryId, Token, WorkerId
from shared.record import DAMAGE, SendRecord, decode_send_record
from shared.scripts import load_script
from shared.wire import FIELD, OutboxReply, decode_reply

PAGE = 100
"""Replies read at a time: their texts are let go of before the next page."""

FOREIGN_CHECK_S = 1.0
"""How often the sends of other workers are looked at again."""

KEPT_CHECK_S = 10.0
"""How often kept replies are held against Redis's time: so much longer than set they may stay."""

log = structlog.get_logger()


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
        self, epoch: int, reply_id: EntryId, replaces: Token | None, token: Token
    ) -> Begun:
        """
        Record that a reply is about to be sent, and fetch it.

        Raises:
            Fenced: the lease is not ours.
            NotDurable: it is recorded, and a failover might still lose the window's finish: its
                ``answer`` is what would have been returned; do not send.
        """
        keys = (self._keys.lease, self._keys.sending, self._keys.outbox)
        args = (self._worker, epoch, str(reply_id), replaces or "", token)
        try:
            answer = await self._send_pipe.script(load_script("send"), keys, args)
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

    async def unsend(
        self,
        reply_id: EntryId,
        token: Token,
        delay_ms: int,
        *,
        held: str = "",
        progress: Progress | None = None,
        counts: bool = True,
    ) -> bool:
        """Give a begun send back, for later or (``held``) for a person. False: not ours."""
        keys = (self._keys.sending, self._keys.lease, self._keys.bell)
        sent = ("", "") if progress is None else progress
        args = (str(reply_id), token, self._worker, delay_ms, held, *sent, int(counts))
        return bool(await self._pipe.script(load_script("unsend"), keys, args) == 0)

    async def sent(
        self, reply_id: EntryId, reply: OutboxReply, token: Token | None, what: str, keep_ms: int
    ) -> bool:
        """Move a reply to the journal as ``sent`` or ``kept``. False: the token is not ours."""
        keys = self._keys
        answer = await self._pipe.script(
            load_script("sent"),
            (keys.sending, keys.outbox, keys.journal, keys.lease, keys.bell),
            (
                str(reply_id),
                token or "",
                self._worker,
                what,
                reply.window_id,
                conversation_hash(reply.instance, reply.user),
                keep_ms,
            ),
        )
        return bool(answer != 2)


def _decode(values: list[Any]) -> OutboxReply | None:
    try:
        return decode_reply(values[1])
    except (EntryUndecodable, IndexError):
        return None


@dataclass(slots=True, eq=False)
class Item:
    """
    A reply in the owner's memory: whose it is, for which window. Its texts stand in the outbox, so
    that a provider which is away for hours costs no memory to speak of.

    ``fresh``: not seen before by this owner or another. ``unsure``: it may have been sent, for its
    record could not be read.
    """

    id: EntryId
    reply: OutboxReply
    record: SendRecord | None
    fresh: bool
    unsure: bool = False


class Outbox:
    """The unsent replies of one partition, by conversation, as its owner has read them."""

    def __init__(self) -> None:
        self.last: EntryId | None = None
        self.foreign: dict[EntryId, Item] = {}
        self.kept: deque[Item] = deque()
        self._queues: dict[Conversation, deque[Item]] = {}
        self._heads: deque[Item] = deque()
        self._backoff: list[tuple[float, int, Item]] = []
        self._serial = itertools.count()

    def add(self, item: Item) -> None:
        """A reply that was read from the outbox; the first of its user comes up at once."""
        self.last = item.id
        conversation = (item.reply.instance, item.reply.user)
        queue = self._queues.setdefault(conversation, deque())
        queue.append(item)
        if len(queue) == 1:
            self._heads.append(item)

    def take_heads(self) -> list[Item]:
        """The replies that come up: each the first of its user, each handed out once."""
        heads = list(self._heads)
        self._heads.clear()
        return heads

    def put_back(self, item: Item) -> None:
        """A head that was not dealt with after all comes up again."""
        self._heads.append(item)

    def leave(self, item: Item) -> None:
        """A reply is sent, kept or held: the user's next one comes up."""
        conversation = (item.reply.instance, item.reply.user)
        queue = self._queues.get(conversation)
        if not queue or queue[0] is not item:
            return
        queue.popleft()
        if queue:
            self._heads.append(queue[0])
        else:
            del self._queues[conversation]

    def wait(self, item: Item, due_s: float) -> None:
        """A reply comes up again at ``due_s`` (monotonic seconds)."""
        heapq.heappush(self._backoff, (due_s, next(self._serial), item))

    def wake_backoffs(self, now_s: float) -> None:
        """Bring up the replies whose time has come."""
        while self._backoff and self._backoff[0][0] <= now_s:
            self._heads.append(heapq.heappop(self._backoff)[2])

    def next_wake_s(self, now_s: float) -> float:
        """When a postponed reply comes up, or others' sends or kept replies are to be looked at."""
        wake_s = self._backoff[0][0] if self._backoff else float("inf")
        if self.kept:
            wake_s = min(wake_s, now_s + KEPT_CHECK_S)
        return min(wake_s, now_s + FOREIGN_CHECK_S) if self.foreign else wake_s
