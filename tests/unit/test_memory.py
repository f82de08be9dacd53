"""What an owner remembers: phases, counters, the local clock, orphans."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from consumer.conversation import Phase, State
from consumer.memory import Memory
from shared.model import ClosedBy, Conversation, Entry, EntryId, Message, Window, WorkerId
from shared.window import Rules
from tests.support.histories import START_MS
from tests.support.turns import make_record, observe, take_startable

RULES = Rules(max_wait_ms=8000, max_messages=3, quiet_ms=0, grace_ms=2000)
ANN: Conversation = ("shop", "ann")
BOB: Conversation = ("shop", "bob")


def make_entry(at_ms: int, who: Conversation = ANN) -> Entry:
    """A message so many ms after the start."""
    message = Message(
        instance=who[0], user=who[1], message_id=f"M{at_ms}", received_at=START_MS + at_ms
    )
    return Entry(id=EntryId(START_MS + at_ms, 0), message=message)


def make_memory(*entries: Entry, at_s: float = 100.0) -> Memory:
    """A memory that has learned these at monotonic ``at_s``."""
    memory = Memory(lambda _instance, _connection: RULES)
    for entry in entries:
        memory.learn(entry, at_s)
    return memory


def start_one(memory: Memory) -> tuple[State, Window]:
    """Start what may start; there must be one."""
    (state,) = take_startable(memory, 10, orphan=True)
    window = memory.window_to_start(state)
    memory.started(state, window, make_record(window))
    return state, window


def counts(memory: Memory, instance: str = "shop") -> tuple[int, int]:
    """Entries held, conversations busy."""
    stream = memory.stream(instance)
    return stream.held, stream.busy


def test_window_starts_at_its_due_time_and_not_before() -> None:
    """The watermark closes it, one ms earlier does not."""
    memory = make_memory(make_entry(0), make_entry(5))
    observe(memory, 7999)
    assert not memory.startable
    observe(memory, 8000)
    _, window = start_one(memory)
    assert (len(window.entries), window.closed_by) == (2, ClosedBy.MAX_WAIT)


@pytest.mark.parametrize("closed_by", [ClosedBy.MAX_WAIT, ClosedBy.CLOCK])
def test_what_comes_while_a_closed_window_waits_for_a_slot_is_the_next_ones(
    closed_by: ClosedBy,
) -> None:
    """Its extent is what it was when it closed, however long it waits to start."""
    memory = make_memory(make_entry(0), make_entry(5))
    if closed_by is ClosedBy.CLOCK:
        observe(memory, 100, at_s=111.0)
    else:
        observe(memory, 8000)
    assert memory.startable
    memory.learn(make_entry(8001), 111.0)
    state, window = start_one(memory)
    assert (len(window.entries), window.closed_by) == (2, closed_by)
    assert [entry.id.ms - START_MS for entry in state.entries] == [8001]


def test_next_window_waits_for_the_one_in_hand() -> None:
    """A message while the handler runs opens the next window, which starts after the finish."""
    memory = make_memory(make_entry(0), make_entry(1), make_entry(2))
    state, first = start_one(memory)
    memory.learn(make_entry(10), 100.0)
    observe(memory, 60_000)
    assert not memory.startable
    assert counts(memory) == (4, 1)
    memory.settle(state)
    assert state.queued_behind
    _, second = start_one(memory)
    assert (len(first.entries), len(second.entries)) == (3, 1)


def test_next_window_of_a_record_waits_although_it_is_full() -> None:
    """Entries claimed behind a record are not cut before the record was judged."""
    memory = Memory(lambda _instance, _connection: RULES)
    started = make_memory(make_entry(0), make_entry(1), make_entry(2))
    _, window = start_one(started)
    memory.place_record(ANN, make_record(window, worker="w2"))
    for at_ms in (10, 11, 12, 13):
        memory.learn(make_entry(at_ms), 100.0)
    assert not memory.startable
    assert memory.attach(ANN, window.entries)
    memory.watch(memory.states[ANN])
    observe(memory, 60_000)
    assert not memory.startable
    assert counts(memory) == (7, 1)
    memory.settle(memory.states[ANN])
    assert start_one(memory)[1].entries[0].id.ms == START_MS + 10


def test_other_users_never_wait() -> None:
    """One user's running window leaves the others' alone."""
    memory = make_memory(make_entry(0), make_entry(1), make_entry(2))
    start_one(memory)
    memory.learn(make_entry(3, BOB), 100.0)
    observe(memory, 8003)
    state, _ = start_one(memory)
    assert state.key == BOB


def test_counters_return_to_zero_and_the_stream_is_forgotten() -> None:
    """After the last window of a stream nothing of it is kept."""
    memory = make_memory(make_entry(0), make_entry(1, BOB))
    observe(memory, 9000)
    assert counts(memory) == (2, 2)
    states = take_startable(memory, 10, orphan=True)
    for state in states:
        window = memory.window_to_start(state)
        memory.started(state, window, make_record(window))
        memory.settle(state)
    assert memory.states == {}
    assert memory.streams == {}
    assert memory.open == {}


def test_entry_learned_twice_is_one() -> None:
    """What was claimed and is read again after a lost group changes nothing."""
    memory = make_memory(make_entry(0), make_entry(1), make_entry(0), make_entry(1))
    assert counts(memory) == (2, 0)
    memory.learn(make_entry(2), 100.0)
    state, _ = start_one(memory)
    memory.learn(make_entry(1), 100.0)
    assert state.entries == []
    assert counts(memory) == (3, 1)


def test_entries_keep_the_order_of_the_stream() -> None:
    """What turns up later than what came after it takes its place all the same."""
    memory = make_memory(make_entry(2), make_entry(0), make_entry(1))
    _, window = start_one(memory)
    assert [entry.id.ms - START_MS for entry in window.entries] == [0, 1, 2]


def test_unread_rest_of_a_stream_holds_its_windows_open() -> None:
    """One flooding instance has a watermark of its own and delays no other."""
    memory = make_memory(make_entry(0), make_entry(0, ("clinic", "bob")))
    memory.unread.add("shop")
    memory.stream("shop").read_to_ms = START_MS + 7999
    observe(memory, 60_000)
    assert start_one(memory)[0].key == ("clinic", "bob")
    assert not memory.startable
    memory.stream("shop").read_to_ms = START_MS + 8000
    observe(memory, 60_001)
    assert start_one(memory)[0].key == ANN


def test_stalled_clock_closes_by_a_drained_read_after_wait_and_grace() -> None:
    """When ids stick to the future, a read that began 10 s after the first one closes a window."""
    memory = make_memory(make_entry(3_600_000), at_s=100.0)
    observe(memory, 0, at_s=109.9)
    assert not memory.startable
    observe(memory, 0, at_s=111.0)
    _, window = start_one(memory)
    assert window.closed_by is ClosedBy.CLOCK
    assert window.closed_at == window.opened_at + 8000


def test_timer_alone_closes_nothing() -> None:
    """A read that began too early, or left its stream undrained, closes nothing."""
    memory = make_memory(make_entry(3_600_000), at_s=100.0)
    memory.observe(START_MS, 109.9, 500.0)
    assert not memory.startable
    memory.unread.add("shop")
    memory.observe(START_MS, 600.0, 600.0)
    assert not memory.startable
    memory.unread.clear()
    memory.observe(START_MS, 602.0, 602.0)
    assert memory.startable


def test_postponed_record_starts_again_when_its_time_has_come() -> None:
    """Nobody's until then, by the local clock; with the same frozen extent."""
    memory = make_memory(make_entry(0), make_entry(1), make_entry(2))
    state, window = start_one(memory)
    assert state.record is not None
    memory.postponed(state, structs.replace(state.record, worker=WorkerId("")), 105.0)
    memory.learn(make_entry(10), 100.0)
    memory.wake_backoffs(104.9)
    assert not memory.startable
    assert memory.next_wake_s(104.0, idle_s=4.0) == 105.0
    memory.wake_backoffs(105.0)
    (again,) = take_startable(memory, 1, orphan=False)
    assert memory.window_to_start(again) == window


def test_orphan_is_taken_alone_and_only_when_allowed() -> None:
    """A window whose last attempt died with its worker takes no other such window along."""
    memory = Memory(lambda _instance, _connection: RULES)
    for who in (ANN, BOB):
        lone = make_memory(make_entry(0, who))
        observe(lone, 9000)
        _, window = start_one(lone)
        memory.place_record(who, make_record(window, worker="dead", serial=who is ANN))
        memory.attach(who, window.entries)
        memory.adopt(memory.states[who], orphaned=True)
    assert take_startable(memory, 10, orphan=False) == []
    assert memory.startable
    (first,) = take_startable(memory, 10, orphan=True)
    assert take_startable(memory, 10, orphan=False) == []
    window = memory.window_to_start(first)
    memory.started(first, window, make_record(window))
    assert not first.orphaned
    assert len(take_startable(memory, 10, orphan=True)) == 1


def test_limit_of_free_slots_is_kept() -> None:
    """No slot, no start; what is left stays startable."""
    memory = make_memory(make_entry(0), make_entry(0, BOB))
    observe(memory, 8000)
    assert take_startable(memory, 0, orphan=True) == []
    assert len(take_startable(memory, 1, orphan=True)) == 1
    assert memory.startable


def test_settings_change_applies_to_windows_opened_later() -> None:
    """An open window keeps the rules that it was opened under."""
    rules = [RULES, replace(RULES, max_wait_ms=1000)]
    memory = Memory(lambda _instance, _connection: rules[0])
    memory.learn(make_entry(0), 100.0)
    rules.pop(0)
    memory.learn(make_entry(500, BOB), 100.0)
    observe(memory, 1500)
    state, _ = start_one(memory)
    assert state.key == BOB
    assert memory.states[ANN].phase is Phase.OPEN


def test_next_wake_is_the_next_due_time() -> None:
    """The loop sleeps until something can close, by the distance to Redis's last time."""
    memory = make_memory(make_entry(0), make_entry(500, BOB))
    observe(memory, 7000, at_s=100.0)
    assert memory.next_wake_s(100.0, idle_s=4.0) == 101.0
    memory = Memory(lambda _instance, _connection: RULES)
    assert memory.next_wake_s(100.0, idle_s=4.0) == 104.0


def test_knows_what_is_open_and_what_is_in_hand() -> None:
    """The audit's question: which pending entries does some window hold?"""
    memory = make_memory(make_entry(0), make_entry(1), make_entry(2))
    start_one(memory)
    memory.learn(make_entry(3), 100.0)
    asked = [make_entry(at_ms).id for at_ms in range(6)]
    assert memory.states[ANN].ids() == set(asked[:4])
