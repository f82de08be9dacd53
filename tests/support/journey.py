"""
One user's messages, taken step by step through the real scripts: appended, read, started, ...

    journey = await begin_journey(pipe, Keys(prefix, 4))
    await journey.say("m1", "m2")
    await journey.read()
    await journey.start(2)
    await journey.answer("hello")
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from consumer.answers import FinishCode, FinishRequest, StartCode, StartRequest
from consumer.outbox import OutboxStore, SendCode
from consumer.store import PartitionStore
from ingest.append import RedisAppender
from shared.connect import Pipe
from shared.dead_letters import DeadLetters
from shared.kept_letters import LetterId
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import ClosedBy, Entry, EntryId, Message, Token, Window, WorkerId
from shared.scripts import load_script
from shared.window import freeze
from shared.wire import (
    DeadLetter,
    OutboxReply,
    decode_entry,
    encode_dead_letter,
    encode_reply,
)

INSTANCE = "shop"
USER = "491700000001"
WORKER = WorkerId("worker-1")
DEDUPE_MS = 86_400_000
RETENTION_MS = 300_000
LEASE_MS = 60_000


@dataclass(slots=True, kw_only=True)
class Journey:
    """What the worker that owns the partition does, one script at a time."""

    pipe: Pipe
    keys: Keys
    instance: str = INSTANCE
    user: str = USER
    epoch: int = 0
    window: Window | None = None
    token: Token | None = None
    unread: list[Entry] = field(default_factory=list)
    serial: int = 0

    @property
    def partition(self) -> int:
        """The number of the user's partition."""
        return self.keys.of(self.instance, self.user).number

    @property
    def store(self) -> PartitionStore:
        """The scripts of the user's partition."""
        return PartitionStore(self.pipe, self.keys.of(self.instance, self.user), WORKER)

    @property
    def outbox(self) -> OutboxStore:
        """The outbox of the user's partition."""
        return OutboxStore(self.pipe, self.keys.of(self.instance, self.user), WORKER)

    async def say(self, *message_ids: str) -> list[EntryId]:
        """Append a message per id, as ingest does."""
        appender = RedisAppender(self.pipe, self.keys, DEDUPE_MS, IngestMetrics(InstanceLabels(10)))
        accepted = await appender.append(
            [
                Message(
                    instance=self.instance,
                    user=self.user,
                    message_id=message_id,
                    text=f"secret {message_id}",
                    received_at=1,
                )
                for message_id in message_ids
            ]
        )
        return [EntryId.parse(one.entry_id or "") for one in accepted]

    async def read(self) -> None:
        """Read what is unread into the worker's pending list."""
        [read] = (await self.store.read(self.epoch, [(self.instance, 1000)])).streams
        entries = [decode_entry(self.instance, raw_id, values) for raw_id, values in read.entries]
        self.unread += [entry for entry in entries if entry.message.user == self.user]

    async def start(self, count: int, error: str = "") -> Window:
        """Start a window of the first ``count`` entries that were read."""
        self.window = freeze(self.unread[:count], ClosedBy.MAX_WAIT, 1)
        del self.unread[:count]
        await self._start(None, error)
        return self.window

    async def start_again(self) -> None:
        """Start the postponed window again."""
        await self._start(self.token, "")

    async def _start(self, replaces: Token | None, error: str) -> None:
        assert self.window is not None
        self.token = self.new_token()
        request = StartRequest(window=self.window, replaces=replaces, token=self.token, error=error)
        [answer] = await self.store.start(self.epoch, [request])
        assert answer.code is StartCode.STARTED

    async def postpone(self, delay_ms: int, error: str) -> None:
        """The attempt failed; the window waits."""
        assert self.token is not None
        assert await self.store.postpone(
            (self.instance, self.user), self.token, delay_ms, counts=True, error=error
        )

    async def answer(self, *texts: str, **metadata: Any) -> EntryId:
        """Finish the window with a reply, and what was answered besides; its id in the outbox."""
        await self._finish("answered", self._encoded_reply(texts, metadata))
        return (await self.outbox.page(None))[-1][0]

    async def answer_muted(self, *texts: str) -> None:
        """Finish the window of a user whom somebody has muted meanwhile, with a reply."""
        await self._finish("answered", self._encoded_reply(texts, {}), FinishCode.MUTED)

    def _encoded_reply(self, texts: tuple[str, ...], metadata: dict[str, Any]) -> bytes:
        assert self.window is not None
        return encode_reply(
            OutboxReply(
                window_id=self.window.id,
                instance=self.instance,
                user=self.user,
                texts=texts,
                provider=None,
                reply_to=None,
                message_ids=tuple(entry.message.message_id for entry in self.window.members),
                metadata=metadata,
            )
        )

    async def be_silent(self) -> None:
        """Finish the window without a reply."""
        await self.end("silent")

    async def lose(self) -> None:
        """Finish the window as one whose entries somebody deleted."""
        await self.end("missing")

    async def end(self, outcome: str) -> None:
        """Finish the window with an outcome that leaves nothing."""
        await self._finish(outcome, b"")

    async def give_up(self, error: str) -> LetterId:
        """Make a dead letter of the window."""
        assert self.window is not None
        letter = DeadLetter(window=self.window, error=error, attempts=3, instance=self.instance)
        await self._finish("dead", encode_dead_letter(letter))
        [newest] = await DeadLetters(self.pipe, self.keys).newest(1)
        return newest.id

    async def replay(self, letter_id: LetterId) -> EntryId:
        """Hand a dead letter over again; the entry that carries it."""
        entry = (await DeadLetters(self.pipe, self.keys).replay(letter_id)).entry
        assert entry is not None
        return entry

    async def begin_send(self, reply_id: EntryId, replaces: Token | None = None) -> Token:
        """A worker begins to send a reply, or begins again."""
        token = self.new_token()
        begun = await self.outbox.send(self.epoch, reply_id, replaces, token)
        assert begun.code is SendCode.SENDING
        return token

    async def end_reply(self, reply_id: EntryId, token: Token | None, what: str) -> None:
        """A reply is sent, or its time to be read is over (``kept``)."""
        [reply] = [reply for found, reply in await self.outbox.page(None) if found == reply_id]
        assert reply is not None
        assert await self.outbox.sent(reply_id, reply, token, what, RETENTION_MS)

    async def _finish(
        self, outcome: str, value: bytes, code: FinishCode = FinishCode.FINISHED
    ) -> None:
        assert self.window is not None
        assert self.token is not None
        request = FinishRequest(
            conversation=(self.instance, self.user),
            first=self.window.entries[0].id,
            token=self.token,
            outcome=outcome,
            value=value,
        )
        assert await self.store.finish([request], RETENTION_MS) == [code]

    def new_token(self) -> Token:
        """A token that was never used."""
        self.serial += 1
        return Token(f"{WORKER}:{self.epoch}:{self.serial}")

    def of(self, user: str) -> Journey:
        """Another user of the same instance, under the same worker."""
        return replace(self, user=user, window=None, unread=[])


async def begin_journey(pipe: Pipe, keys: Keys, user: str = USER) -> Journey:
    """A journey whose worker owns the user's partition."""
    partition = keys.of(INSTANCE, user)
    epoch = await pipe.script(
        load_script("acquire"), (partition.lease, partition.epoch), (WORKER, LEASE_MS)
    )
    return Journey(pipe=pipe, keys=keys, user=user, epoch=epoch)
