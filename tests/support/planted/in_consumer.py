"""Bugs in the worker's Python."""

from __future__ import annotations

import asyncio
import copy
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from redis import Redis

from shared import probe
from shared.probe import Point
from shared.scripts import Script
from tests.support.planted.in_scripts import replace as replace_in_script

AHEAD_MS = 300
LATE_S = 1.0
STOPPED_S = 0.5


def unfenced_read() -> None:
    """``read`` does not look at the lease; ``before_read`` is a point before it leaves."""
    fence = "if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then"
    replace_in_script("read", (fence, "if not held then"))
    reach_before_read()


def reach_before_read() -> None:
    """
    Only the point: the last moment at which a worker may stop before it reads.

    A worker that was stopped there sends its read before it does anything else, and dies if that
    was not refused: nobody knows that it lived, or what it has read.
    """
    from consumer.store import PartitionStore

    read = PartitionStore.read

    async def read_later(self: PartitionStore, *args: Any, **rest: Any) -> Any:
        began_s = time.monotonic()
        hook = probe._hook
        if hook is not None:
            hook(cast("Point", "before_read"))
        if time.monotonic() - began_s < STOPPED_S:
            return await read(self, *args, **rest)
        late = copy.copy(self)
        late._pipe = cast("Any", _BlockingPipe())
        return await read(late, *args, **rest)

    PartitionStore.read = read_later  # type: ignore[method-assign]


class _BlockingPipe:
    """Runs one script while the loop stands still."""

    async def script(self, script: Script, keys: Sequence[Any], args: Sequence[Any]) -> Any:
        with Redis.from_url(os.environ["INTURN_REDIS_URL"], protocol=2) as redis:
            answer = cast("list[Any]", redis.eval(script.source, len(keys), *keys, *args))
        if answer[0] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def new_before_pending() -> None:
    """A takeover goes on to read what is new, and learns what was pending a second later."""
    import consumer.partition
    from consumer.answers import ClaimPage
    from consumer.memory import Memory
    from shared.model import EntryId
    from shared.wire import decode_entry

    module: Any = consumer.partition
    rebuild = module.rebuild_memory
    tasks: set[asyncio.Task[None]] = set()

    async def rebuild_new_first(store: Any, epoch: int, memory: Memory, metrics: Any) -> Any:
        records, _damaged = await store.running()
        begun = {entry_id for record in records.values() for entry_id in record.ids}
        late: list[tuple[str, Any]] = []
        claim = store.claim

        async def claim_begun(epoch: int, instance: str, *args: Any) -> ClaimPage:
            page: ClaimPage = await claim(epoch, instance, *args)
            kept = [row for row in page.entries if EntryId.parse(row[0]) in begun]
            late.extend((instance, row) for row in page.entries if row not in kept)
            return replace(page, entries=kept)

        store.claim = claim_begun
        try:
            empty = await rebuild(store, epoch, memory, metrics)
        finally:
            del store.claim

        async def learn_late() -> None:
            await asyncio.sleep(LATE_S)
            for instance, (raw_id, values) in late:
                memory.learn(decode_entry(instance, raw_id, values), time.monotonic())

        task = asyncio.create_task(learn_late())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return empty

    module.rebuild_memory = rebuild_new_first


def local_clock() -> None:
    """Windows are closed by the time of the worker's own clock, which is 300 ms ahead."""
    from consumer.store import PartitionStore

    peek, read = PartitionStore.peek, PartitionStore.read

    def ahead(found: Any) -> Any:
        return replace(found, now_ms=found.now_ms + AHEAD_MS)

    async def peek_ahead(self: PartitionStore) -> Any:
        return ahead(await peek(self))

    async def read_ahead(self: PartitionStore, *args: Any, **named: Any) -> Any:
        found = await read(self, *args, **named)
        return replace(found, peek=found.peek and ahead(found.peek))

    PartitionStore.peek = peek_ahead  # type: ignore[method-assign]
    PartitionStore.read = read_ahead  # type: ignore[method-assign]


def delete_consumer() -> None:
    """A worker that drains first deletes itself from every group; no takeover makes up for it."""
    listed = "local is_listed = count == 0"
    replace_in_script("claim", (listed, "local is_listed = true"))
    from consumer.worker import Worker
    from shared.keys import GROUP

    drain = Worker._drain

    async def delete_then_drain(self: Worker) -> None:
        for number in list(self._keeper.partitions):
            store = self._store_of(number)
            names: Sequence[str] = await store.streams()
            for stream in [store.keys.stream(instance) for instance in names]:
                await self._pipe.call("XGROUP", "DELCONSUMER", stream, GROUP, self.id)
        await drain(self)

    Worker._drain = delete_then_drain  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {
    "unfenced read": unfenced_read,
    "new entries before pending ones": new_before_pending,
    "windows by the local clock": local_clock,
    "DELCONSUMER at shutdown": delete_consumer,
}
