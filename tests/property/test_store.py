"""The same machine on real Redis: scripts, store, memory, reader and takeover together."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, run_state_machine_as_test
from typing_extensions import override

from consumer.store import PartitionStore
from ops.chaos.asking import Asks
from shared.connect import pipe_to
from shared.keys import GROUP, Keys
from shared.model import Conversation, EntryId, WorkerId
from shared.scripts import load_script
from shared.unfinished import Unfinished
from shared.wire import encode_replay
from tests.support.clients import look_into
from tests.support.handover import HandoverMachine, make_message
from tests.support.histories import dead_window
from tests.support.partition_scripts import APPENDED, DUPLICATE, append_answer, append_call

LEASE_MS = 60_000


class StoreMachine(HandoverMachine):
    """Over Redis, whose clock goes by itself; what it answers late is only later."""

    url = ""
    prefixes: Iterator[str] = iter(())

    def __init__(self) -> None:
        super().__init__()
        self.p = Keys(next(self.prefixes), 1).partition(0)
        self.pipe = pipe_to(self.url, timeout_ms=10_000, name="machine")
        self.client = look_into(self.url)
        self.unfinished = Unfinished(self.pipe, self.p)
        self.run(self._connect())

    async def _connect(self) -> None:
        self.task = asyncio.create_task(self.pipe.run(), name="machine-pipe")

    @override
    def make_store(self, worker: WorkerId) -> PartitionStore:
        return PartitionStore(self.pipe, self.p, worker)

    @override
    async def append(self, conversation: Conversation, number: int, asks: Asks) -> EntryId:
        call = append_call(self.p, [make_message(conversation, number, asks)])
        answers = [await self.pipe.script(load_script("append"), *call) for _ in range(2)]
        first, again = (append_answer(answer) for (answer,) in answers)
        assert isinstance(first, tuple)
        assert (first[0], again) == (APPENDED, (DUPLICATE, first[1]))
        return first[1]

    @override
    async def replay(self, conversation: Conversation, number: int) -> EntryId:
        instance, p = conversation[0], self.p
        value = encode_replay(dead_window(make_message(conversation, number)))
        letter = await self.client.xadd(p.dead, {"m": "a letter"})
        keys = (p.dead, p.stream(instance), p.streams, p.ready, p.bell)
        args = (letter, instance, value, GROUP)
        first, second = [await self.pipe.script(load_script("replay"), keys, args) for _ in "12"]
        assert second is None
        return EntryId.parse(first)

    @override
    async def pass_time(self, span_ms: int) -> None:
        """Redis's clock is waited for, as far as a test may wait at all."""
        until_ms = await self.redis_now_ms() + min(span_ms, 3)
        while await self.redis_now_ms() < until_ms:
            pass

    @override
    def now_s(self) -> float:
        return time.monotonic()

    @override
    async def redis_now_ms(self) -> int:
        return (await PartitionStore(self.pipe, self.p, WorkerId("nobody")).peek()).now_ms

    @override
    async def acquire(self, worker: WorkerId) -> int:
        keys = (self.p.lease, self.p.epoch)
        return int(await self.pipe.script(load_script("acquire"), keys, (worker, LEASE_MS)))

    @override
    async def expire_lease(self) -> None:
        await self.client.delete(self.p.lease)

    @invariant()
    def whatever_is_unfinished_is_named_and_counted(self) -> None:
        """A look, which takes names out, may come between any two steps."""
        self.run(self._check_unfinished())

    async def _check_unfinished(self) -> None:
        instances = {who[0] for who, history in self.history.items() if history}
        lengths = {name: await self.client.xlen(self.p.stream(name)) for name in instances}
        named = await self.pipe.call("ZUNION", 2, self.p.ready, self.p.pending)
        assert {name for name, length in lengths.items() if length} <= {n.decode() for n in named}
        rings = await self.pipe.call("XRANGE", self.p.bell, "-", "+")
        messages, _ = await self.unfinished.count(rings[0][0] if rings else b"")
        assert messages == sum(lengths.values())

    @override
    async def check_empty(self) -> None:
        assert not await self.client.exists(self.p.running)
        assert await self.client.xlen(self.p.outbox) == 0
        for instance in {who[0] for who, history in self.history.items() if history}:
            assert await self.client.xlen(self.p.stream(instance)) == 0
            pending = await self.client.xpending(self.p.stream(instance), GROUP)
            assert pending["pending"] == 0
        assert await self.client.zcard(self.p.ready) == 0

    @override
    def close(self) -> None:
        self.run(self._disconnect())

    async def _disconnect(self) -> None:
        keys = [key async for key in self.client.scan_iter(match=f"{self.p.base}:*")]
        if keys:
            await self.client.delete(*keys)
        await self.client.aclose()
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@pytest.mark.timeout(120)
def test_scripts_and_memory_keep_every_promise_together(redis_url: str, prefix: str) -> None:
    """Two workers crash, sleep and take over: nothing lost, order kept, one window per message."""
    StoreMachine.url = redis_url
    StoreMachine.prefixes = (f"{prefix}-{number}" for number in itertools.count())
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
