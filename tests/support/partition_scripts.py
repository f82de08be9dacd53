"""Every script of a partition on a real Redis: two workers' stores, and a look at what is there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from redis.exceptions import RedisError

from consumer.answers import FinishRequest, StartCode, StartRequest, StreamRead
from consumer.outbox import OutboxStore
from consumer.store import PAGE_BYTES, PartitionStore
from shared.broker_errors import classify
from shared.connect import Pipe
from shared.keys import GROUP, PartitionKeys, conversation_field, message_hash
from shared.model import (
    ClosedBy,
    Entry,
    EntryId,
    Memory,
    Message,
    Token,
    Window,
    WorkerId,
    window_id,
)
from shared.scripts import load_script
from shared.wire import OutboxReply, decode_entry, encode_message
from tests.support.clients import look_into
from tests.support.pipes import running_pipe

SHOP, ANN = "shop", "ann"
US, THEM = WorkerId("us"), WorkerId("them")
LEASE_MS = 60_000
RETENTION_MS = 300_000
DEDUPE_MS = 86_400_000
AT_ONCE_MS = -1000
"""For ``remove_stream``, which counts whole seconds: also what was used this very second."""

APPENDED, DUPLICATE = 0, 1

T1, T2, T3 = Token("us:1:1"), Token("us:1:2"), Token("them:2:1")


@dataclass(frozen=True, slots=True)
class Scripts:
    """One partition; ``us`` and ``them`` are two workers."""

    pipe: Pipe
    client: Any
    p: PartitionKeys
    us: PartitionStore
    them: PartitionStore
    our_outbox: OutboxStore

    async def run(self, name: str, keys: tuple[Any, ...], *args: Any) -> Any:
        """A script as it is."""
        return await self.pipe.script(load_script(name), keys, args)

    async def append(
        self,
        message_id: str,
        user: str = ANN,
        instance: str = SHOP,
        dedupe_ms: int = DEDUPE_MS,
        text: str = "",
    ) -> tuple[int, EntryId]:
        """Append one message: code and entry id."""
        message = Message(
            instance=instance, user=user, message_id=message_id, received_at=1, text=text
        )
        (answer,) = await self.append_all([message], dedupe_ms)
        if isinstance(answer, RedisError):
            raise classify(answer) from answer
        return answer

    async def append_all(
        self, messages: Sequence[Message], dedupe_ms: int = DEDUPE_MS
    ) -> list[tuple[int, EntryId] | RedisError]:
        """Append messages in one call: code and entry id of each, or what refused it."""
        keys, args = append_call(self.p, messages, dedupe_ms)
        return [append_answer(answer) for answer in await self.run("append", keys, *args)]

    async def acquire(self, worker: WorkerId = US, lease_ms: int = LEASE_MS) -> int:
        """Take the lease: the epoch, or 0."""
        return int(await self.run("acquire", (self.p.lease, self.p.epoch), worker, lease_ms))

    async def renew(self, epoch: int, worker: WorkerId = US, lease_ms: int = LEASE_MS) -> int:
        """Lengthen the lease."""
        (renewed,) = await self.run("renew", (self.p.lease,), worker, lease_ms, epoch)
        return int(renewed)

    async def release(self, epoch: int, worker: WorkerId = US) -> int:
        """Give the lease back."""
        return int(await self.run("release", (self.p.lease,), worker, epoch))

    async def read(
        self,
        epoch: int,
        wanted: Sequence[tuple[str, int]],
        max_bytes: int = PAGE_BYTES,
        *,
        worker: WorkerId = US,
    ) -> list[StreamRead]:
        """Read unread entries."""
        store = self.us if worker == US else self.them
        return list((await store.read(epoch, wanted, max_bytes)).streams)

    async def read_window(self, epoch: int, instance: str = SHOP, count: int = 100) -> Window:
        """Read what is unread of an instance; it becomes one window of its first user."""
        (got,) = await self.read(epoch, [(instance, count)])
        return window_of(instance, [decode_entry(instance, *row) for row in got.entries])

    async def begin(self, window: Window, epoch: int, token: Token = T1) -> None:
        """Start a window."""
        (answer,) = await self.us.start(epoch, [request(window, token)])
        assert answer.code is StartCode.STARTED

    async def closed_window(self, *message_ids: str) -> tuple[int, Window]:
        """From nothing to a window of ours that no record holds yet: the epoch and the window."""
        for message_id in message_ids or ("A",):
            await self.append(message_id)
        epoch = await self.acquire()
        return epoch, await self.read_window(epoch)

    async def window_in_hand(self, *message_ids: str) -> tuple[int, Window]:
        """From nothing to a window of ours that runs under ``T1``: the epoch and the window."""
        epoch, window = await self.closed_window(*message_ids)
        await self.begin(window, epoch)
        return epoch, window

    async def finish(
        self,
        window: Window,
        token: Token = T1,
        outcome: str = "silent",
        value: bytes = b"",
        memory: Memory | None = None,
    ) -> Any:
        """Finish for us."""
        one = ending(window, token, outcome, value, memory)
        [answer] = await self.us.finish([one], RETENTION_MS)
        return answer

    async def record(self, user: str = ANN, instance: str = SHOP) -> dict[str, Any] | None:
        """The record as it stands in Redis."""
        value = await self.client.hget(self.p.running, conversation_field(instance, user).decode())
        return None if value is None else orjson.loads(value)

    async def pending(self, instance: str = SHOP) -> dict[str, str]:
        """Pending entries and whose they are."""
        rows = await self.client.xpending_range(self.p.stream(instance), GROUP, "-", "+", 1000)
        return {row["message_id"].decode(): row["consumer"].decode() for row in rows}

    async def consumers(self, instance: str = SHOP) -> set[str]:
        """The names of the group's consumers."""
        rows = await self.client.xinfo_consumers(self.p.stream(instance), GROUP)
        return {row["name"].decode() for row in rows}

    async def bell(self) -> str:
        """The last ring."""
        rows = await self.client.xrevrange(self.p.bell, count=1)
        return str(rows[0][0].decode()) if rows else ""

    async def snapshot(self) -> dict[str, Any]:
        """Everything under the partition's prefix, as plain values."""
        found: dict[str, Any] = {}
        async for key in self.client.scan_iter(match=f"{_escaped(self.p.base)}:*"):
            name = key.decode()
            found[name] = await self.client.dump(key)
        return found


async def three_in_hand(scripts: Scripts) -> list[Window]:
    """Windows of two users of one instance and of one of another, under ``T1``, ``T2``, ``T3``."""
    epoch, windows = await scripts.acquire(), []
    for user, instance in (("ann", SHOP), ("bob", SHOP), ("cid", "clinic")):
        await scripts.append(f"of {user}", user=user, instance=instance)
        windows.append(await scripts.read_window(epoch, instance))
    requests = [request(*one) for one in zip(windows, (T1, T2, T3), strict=True)]
    await scripts.us.start(epoch, requests)
    return windows


@asynccontextmanager
async def partition_scripts(url: str, p: PartitionKeys) -> AsyncIterator[Scripts]:
    """The scripts of one partition on the server at ``url``."""
    client = look_into(url)
    try:
        async with running_pipe(url) as pipe:
            us, them = PartitionStore(pipe, p, US), PartitionStore(pipe, p, THEM)
            yield Scripts(pipe, client, p, us, them, OutboxStore(pipe, p, US))
    finally:
        await client.aclose()


def append_call(
    p: PartitionKeys, messages: Sequence[Message], dedupe_ms: int = DEDUPE_MS
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Keys and arguments of ``append``."""
    keys: list[Any] = [p.streams, p.ready, p.bell]
    args: list[Any] = [GROUP, dedupe_ms]
    for one in messages:
        seen = (p.seen(0, one.instance, one.user), p.seen(1, one.instance, one.user))
        keys += (p.stream(one.instance), *seen)
        args += (one.instance, message_hash(one.message_id), encode_message(one))
    return tuple(keys), tuple(args)


def append_answer(answer: Any) -> tuple[int, EntryId] | RedisError:
    """What ``append`` says of one message: APPENDED or DUPLICATE, or an error."""
    if isinstance(answer, RedisError):
        return answer
    if isinstance(answer, list):
        return DUPLICATE, EntryId.parse(answer[0])
    return APPENDED, EntryId.parse(answer)


def request(window: Window, token: Token, replaces: Token | None = None) -> StartRequest:
    """A start of ``window`` under ``token``."""
    return StartRequest(window=window, replaces=replaces, token=token)


def ending(
    window: Window,
    token: Token = T1,
    outcome: str = "silent",
    value: bytes = b"",
    memory: Memory | None = None,
) -> FinishRequest:
    """A finish of ``window`` under ``token``."""
    return FinishRequest(
        conversation=window.conversation,
        first=window.entries[0].id,
        token=token,
        outcome=outcome,
        value=value,
        memory=memory,
    )


def window_of(instance: str, entries: list[Entry]) -> Window:
    """The window that these entries make."""
    first = entries[0]
    return Window(
        id=window_id(instance, first.message.user, first.id),
        instance=instance,
        user=first.message.user,
        entries=tuple(entries),
        closed_by=ClosedBy.MAX_WAIT,
        opened_at=first.id.ms,
        closed_at=first.id.ms + 8000,
    )


def reply_to(window: Window, *texts: str) -> OutboxReply:
    """A reply to ``window``."""
    return OutboxReply(
        window_id=window.id,
        instance=window.instance,
        user=window.user,
        texts=texts or ("hello",),
        provider=None,
        reply_to=None,
        message_ids=tuple(entry.message.message_id for entry in window.entries),
    )


def _escaped(base: str) -> str:
    return base.replace("[", "\\[")


def ids(entries: object) -> list[str]:
    """The ids of raw entries."""
    assert isinstance(entries, list)
    return [raw_id.decode() for raw_id, _ in entries]


async def take_over(scripts: Scripts, epoch: int) -> int:
    """Them, after our lease was given back."""
    await scripts.release(epoch)
    return await scripts.acquire(THEM)
