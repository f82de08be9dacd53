"""The owner's memory, reader and takeover against a model of the stream, under any interleaving."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from typing_extensions import override

from ops.chaos.asking import Asks
from shared.model import Conversation, EntryId, WorkerId
from shared.wire import encode_message, encode_replay
from tests.support.handover import HandoverMachine, make_message
from tests.support.histories import START_MS, dead_window
from tests.support.partition_model import ModelPartition, ModelStore
from tests.support.steered_handover import SteeredMachine


class MemoryMachine(HandoverMachine):
    """Over the model, whose clock is the machine's."""

    def __init__(self) -> None:
        super().__init__()
        self.partition = ModelPartition(START_MS)

    @override
    def make_store(self, worker: WorkerId) -> ModelStore:
        return ModelStore(self.partition, worker)

    @override
    async def append(self, conversation: Conversation, number: int, asks: Asks) -> EntryId:
        value = encode_message(make_message(conversation, number, asks))
        return self.partition.append(conversation[0], value)

    @override
    async def replay(self, conversation: Conversation, number: int) -> EntryId:
        window = dead_window(make_message(conversation, number))
        return self.partition.append(conversation[0], encode_replay(window))

    @override
    async def pass_time(self, span_ms: int) -> None:
        self.partition.now_ms += span_ms

    @override
    def now_s(self) -> float:
        return self.partition.now_ms / 1000

    @override
    async def redis_now_ms(self) -> int:
        return self.partition.now_ms

    @override
    async def acquire(self, worker: WorkerId) -> int:
        return self.partition.acquire(worker)

    @override
    async def expire_lease(self) -> None:
        self.partition.owner = None

    @override
    async def check_empty(self) -> None:
        assert not self.partition.running
        for stream in self.partition.streams.values():
            assert not stream.entries
            assert not stream.pending


def test_memory_keeps_every_promise_under_any_interleaving() -> None:
    """Nothing lost or doubled, order kept, counters right, no window before it is closed."""
    run_state_machine_as_test(
        MemoryMachine,
        settings=settings(max_examples=200, stateful_step_count=50, deadline=None),
    )


class SteeredMemoryMachine(SteeredMachine, MemoryMachine):
    """The same, and somebody steers."""


def test_memory_keeps_every_promise_whatever_is_set_meanwhile() -> None:
    """Rules change, messages are to be alone, instances are paused: nothing lost or doubled."""
    run_state_machine_as_test(
        SteeredMemoryMachine,
        settings=settings(max_examples=200, stateful_step_count=50, deadline=None),
    )
