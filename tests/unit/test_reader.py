"""What a turn of the reader asks of Redis: names once, entries as long as there are some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from consumer.answers import Peek, Reads
from consumer.memory import Memory
from consumer.reader import LOOK_S, READ_COUNT, STREAMS_PER_READ, Reader
from shared.metrics import ConsumerMetrics
from shared.model import Message, WorkerId
from shared.window import Rules
from shared.wire import encode_message
from tests.support.histories import START_MS
from tests.support.partition_model import ModelPartition, ModelStore, ModelStream

US = WorkerId("us")
RULES = Rules(max_wait_ms=8000, max_messages=100_000, quiet_ms=0, grace_ms=2000)


class NotedStore(ModelStore):
    """Notes what is asked; before each peek and read it does what the test wants."""

    def __init__(self, partition: ModelPartition) -> None:
        super().__init__(partition, US)
        self.asked: list[str] = []
        self.before_peek: Callable[[], None] = lambda: None
        self.before_read: Callable[[], None] = lambda: None

    async def peek(self) -> Peek:
        """Noted."""
        self.before_peek()
        self.asked.append("peek")
        return await super().peek()

    async def read(
        self, epoch: int, wanted: Sequence[tuple[str, int]], max_bytes: int, *, peeks: bool
    ) -> Reads:
        """Noted, with the number of streams."""
        self.before_read()
        self.asked.append(f"read {len(wanted)}{' and peek' if peeks else ''}")
        return await super().read(epoch, wanted, max_bytes, peeks=peeks)


class Turns:
    """A partition of ours, and its reader."""

    def __init__(self, read_ahead: int = 2000) -> None:
        self.partition = ModelPartition(START_MS)
        self.epoch = self.partition.acquire(US)
        self.store = NotedStore(self.partition)
        self.memory = Memory(lambda _instance, _connection: RULES)
        store: object = self.store
        self.reader = Reader(store, self.memory, read_ahead, ConsumerMetrics())  # type: ignore[arg-type]

    def say(self, instance: str = "shop", count: int = 1) -> None:
        """Messages come."""
        for _ in range(count):
            message = Message(instance=instance, user="ann", message_id="M", received_at=START_MS)
            self.partition.append(instance, encode_message(message))

    async def turn(self) -> tuple[bool, list[str]]:
        """Whether to look again at once, and what was asked."""
        self.store.asked.clear()
        again = await self.reader.read(self.epoch)
        return again, self.store.asked

    def held(self, instance: str = "shop") -> int:
        """Entries in memory."""
        return self.memory.stream(instance).held


async def test_ring_for_one_message_costs_a_peek_and_a_read() -> None:
    """The read itself says that nothing more is unread, and until when."""
    turns = Turns()
    turns.say()
    turns.store.before_read = lambda: setattr(turns.partition, "now_ms", START_MS + 9000)
    assert await turns.turn() == (False, ["peek", "read 1 and peek"])
    assert turns.held() == 1
    assert turns.memory.watermark_ms("shop") == START_MS + 9000
    assert turns.memory.startable, "its window is due by the read's time"


async def test_stream_that_becomes_ready_after_the_peek_is_read_in_the_same_turn() -> None:
    """It rang no bell, for another stream was ready."""
    turns = Turns()
    turns.say()

    def say_late() -> None:
        if "bakery" not in turns.partition.streams:
            turns.say("bakery")

    turns.store.before_read = say_late
    assert await turns.turn() == (False, ["peek", "read 1 and peek", "read 1 and peek"])
    assert turns.held() == turns.held("bakery") == 1


async def test_ring_that_names_a_stream_costs_one_read() -> None:
    """What else is ready is told by that read; a name that is not ready harms nothing."""
    turns = Turns()
    await turns.turn()
    turns.say()
    turns.say("bakery")
    turns.reader.ring("shop")
    assert await turns.turn() == (False, ["read 1 and peek", "read 1 and peek"])
    assert turns.held() == turns.held("bakery") == 1
    turns.reader.ring("shop")
    assert await turns.turn() == (False, ["read 1 and peek"])
    assert await turns.turn() == (False, ["peek"])


async def test_name_of_no_stream_leaves_no_trace() -> None:
    """A ring may be older than what was read since, or be anything: memory does not grow by it."""
    turns = Turns()
    turns.say()
    await turns.turn()
    turns.partition.streams["gone"] = ModelStream()
    turns.reader.ring("gone")
    assert await turns.turn() == (False, ["read 1 and peek"])
    assert set(turns.memory.streams) == {"shop"}


async def test_ring_without_a_name_is_not_covered_by_one_with() -> None:
    """It may tell of a reply."""
    turns = Turns()
    await turns.turn()
    turns.say()
    turns.reader.ring(None)
    turns.reader.ring("shop")
    assert await turns.turn() == (False, ["peek", "read 1 and peek"])


async def test_named_stream_without_room_makes_it_peek() -> None:
    """The watermark must go on."""
    turns = Turns(read_ahead=0)
    await turns.turn()
    turns.memory.stream("shop").busy = 1
    turns.say()
    turns.reader.ring("shop")
    assert await turns.turn() == (False, ["peek"])


async def test_flood_is_read_on_without_peeking() -> None:
    """The last read named it; a bell that rings meanwhile may tell of a reply, so that peeks."""
    turns = Turns(read_ahead=10**9)
    turns.say(count=41 * READ_COUNT)
    again, asked = await turns.turn()
    assert again
    assert asked == ["peek", *["read 1 and peek"] * 20]
    again, asked = await turns.turn()
    assert asked == ["read 1 and peek"] * 20
    turns.reader.ring(None)
    again, asked = await turns.turn()
    assert asked[0] == "peek"
    assert not again
    assert turns.held() == 41 * READ_COUNT


async def test_of_a_flood_all_is_known_that_is_older_than_the_last_entry_read() -> None:
    """What is unread still may belong to a window that closes after it."""
    turns = Turns(read_ahead=10**9)
    for number in range(21 * READ_COUNT):
        turns.partition.now_ms = START_MS + number
        turns.say()
    await turns.turn()
    assert turns.held() == 20 * READ_COUNT
    assert turns.memory.watermark_ms("shop") == START_MS + 20 * READ_COUNT - 1


async def test_what_is_known_is_as_of_when_the_look_for_it_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What comes while Redis is slow to answer may be unseen: no window is over by that time."""
    turns, observe, now_s = Turns(), Mock(), 100.0

    def take_long() -> None:
        nonlocal now_s
        now_s += 5

    monkeypatch.setattr("consumer.reader.time", SimpleNamespace(monotonic=lambda: now_s))
    monkeypatch.setattr(turns.memory, "observe", observe)
    turns.store.before_peek = turns.store.before_read = take_long
    await turns.turn()
    observe.assert_called_with(START_MS, 100.0, 105.0)
    turns.say()
    turns.reader.ring("shop")
    assert await turns.turn() == (False, ["read 1 and peek"])
    observe.assert_called_with(START_MS, 105.0, 110.0)


async def test_thousands_of_streams_are_not_named_by_each_read() -> None:
    """Only when few are left; until then each turn looks again."""
    turns = Turns()
    for number in range(2 * STREAMS_PER_READ + 1):
        turns.say(f"shop-{number}")
    few = f"read {STREAMS_PER_READ}"
    assert await turns.turn() == (False, ["peek", few, few, "read 1 and peek"])


async def test_turn_that_ends_without_names_looks_again() -> None:
    """Its one read named nothing, for many were left; then no stream had room any more."""
    turns = Turns(read_ahead=0)
    for number in range(STREAMS_PER_READ + 1):
        turns.say(f"shop-{number}")

    def fill() -> None:
        for instance in turns.partition.streams:
            turns.memory.stream(instance).busy = 1

    turns.store.before_read = fill
    assert await turns.turn() == (True, ["peek", f"read {STREAMS_PER_READ}"])
    assert await turns.turn() == (False, ["peek"])


async def test_full_stream_is_a_reason_to_look_now_and_then() -> None:
    """Attempts that end wake the partition often: without room, few of these wakes make it peek."""
    turns = Turns(read_ahead=0)
    turns.memory.stream("shop").busy = 1
    turns.say(count=2)
    assert await turns.turn() == (False, ["peek"])
    now_s = turns.reader._named_s
    assert not turns.reader.goes_on(now_s)
    assert turns.reader.goes_on(now_s + LOOK_S)
    turns.memory.stream("shop").busy = 0
    assert turns.reader.goes_on(now_s)
    assert await turns.turn() == (False, ["read 1 and peek"])
    assert not turns.reader.goes_on(now_s + LOOK_S)
