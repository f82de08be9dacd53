"""Beyond its budget a memory keeps entries bare, and a window is whole again when it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as replace_rules

from msgspec.structs import replace

from consumer.answers import RawEntry
from consumer.bodies import BULKY_BYTES, ENTRY_COST_BYTES, Absent, is_bare, load_windows, strip
from consumer.conversation import State
from consumer.memory import Memory
from shared.model import ClosedBy, Entry, EntryId, Window
from shared.patterns import compile_patterns
from shared.record import Record
from shared.window import Rules
from shared.wire import decode_entry, encode_message, encode_replay
from tests.support.turns import make_record, observe, take_startable, turns_of
from tests.support.windows import make_window

RULES = Rules(max_wait_ms=8000, max_messages=3, quiet_ms=0, grace_ms=2000)


class Stream:
    """The raw entries of one window, as its stream holds them."""

    def __init__(self, *rows: RawEntry) -> None:
        self.rows = dict(rows)

    async def entries(self, wanted: Sequence[tuple[str, EntryId]]) -> list[RawEntry | None]:
        """Each that is there."""
        asked = [str(entry_id).encode() for _, entry_id in wanted]
        return [(raw_id, self.rows[raw_id]) if raw_id in self.rows else None for raw_id in asked]


def raw(entry: Entry) -> RawEntry:
    """As Redis gives it."""
    return str(entry.id).encode(), [b"m", encode_message(entry.message)]


def stored(*texts: str) -> tuple[list[Entry], Stream]:
    """One user's entries as they are decoded, and the stream that they stand in."""
    rows = [raw(entry) for entry in make_window(texts).entries]
    return [decode_entry("shop", *row) for row in rows], Stream(*rows)


def memory_of(entries: Sequence[Entry], limit_bytes: int) -> Memory:
    """A memory that has learned these."""
    memory = Memory(lambda _instance, _connection: RULES, limit_bytes)
    for entry in entries:
        memory.learn(entry, 100.0)
    return memory


def start(memory: Memory) -> tuple[State, Window, Record]:
    """Start the one window that may."""
    (state,) = take_startable(memory, 10, orphan=True)
    window = memory.window_to_start(state)
    record = make_record(window)
    memory.started(state, window, record)
    return state, window, record


def test_a_memory_never_holds_more_than_its_budget() -> None:
    """What does not fit is kept bare, in its place, and gives the same window."""
    entries, _ = stored("one", "two", "three")
    roomy, tight = memory_of(entries, 10**9), memory_of(entries, ENTRY_COST_BYTES + 200)
    assert roomy.held_bytes == sum(entry.size_bytes + ENTRY_COST_BYTES for entry in entries)
    assert 0 < tight.held_bytes <= ENTRY_COST_BYTES + 200
    (_, whole, whole_record), (_, bare, bare_record) = start(roomy), start(tight)
    assert whole.entries == tuple(entries)
    assert [entry.is_bare for entry in bare.entries] == [False, True, True]
    assert (bare.id, bare_record) == (whole.id, whole_record)


def test_what_a_finished_window_held_is_given_back() -> None:
    """The budget is free again after the finish, not before."""
    entries, _ = stored("one", "two", "three")
    memory = memory_of(entries, 10**9)
    state, _, _ = start(memory)
    assert memory.held_bytes > 0
    memory.settle(state)
    assert memory.held_bytes == 0


def test_bare_entries_of_a_user_share_what_they_say() -> None:
    """A flood costs its entries' ids and little else."""
    entries, _ = stored("one", "two", "three")
    (_, window, _) = start(memory_of(entries, 0))
    assert len({id(entry.message) for entry in window.entries}) == 1
    assert window.entries[0].message.text == ""


async def test_a_window_is_whole_when_it_starts() -> None:
    """What was left in the stream is fetched: the handler sees what the user wrote."""
    entries, stream = stored("one", "two", "three")
    (_, window, _) = start(memory_of(entries, ENTRY_COST_BYTES + 200))
    assert is_bare(window)
    whole = replace(window, entries=tuple(entries))
    assert await load_windows(stream, [window, whole, window]) == [whole] * 3


async def test_a_replayed_window_is_bare_and_whole_again() -> None:
    """It keeps its id and its number of messages, and its messages come back."""
    dead = make_window(["one", "two"])
    row = (b"1700000900000-0", [b"m", encode_replay(dead)])
    entry = decode_entry("shop", *row)
    (_, window, _) = start(memory_of([entry], 0))
    assert (window.id, len(window.members), is_bare(window)) == (dead.id, 2, True)
    (loaded,) = await load_windows(Stream(row), [window])
    assert not isinstance(loaded, Absent)
    assert [member.message.text for member in loaded.members] == ["one", "two"]


async def test_a_window_whose_entry_is_gone_is_not_loaded() -> None:
    """Nobody is handed a window with a hole in it, nor one that was damaged meanwhile."""
    entries, stream = stored("one", "two", "three")
    window, other = (
        replace(make_window(), entries=tuple(strip(entry) for entry in some))
        for some in (entries, entries[2:])
    )
    whole = replace(other, entries=tuple(entries[2:]))
    del stream.rows[str(entries[1].id).encode()]
    assert await load_windows(stream, [window, other]) == [Absent.SOME, whole]
    stream.rows[str(entries[1].id).encode()] = [b"m", b"damaged"]
    assert await load_windows(stream, [window, other]) == [Absent.SOME, whole]


async def test_a_window_of_which_nothing_is_left_was_finished() -> None:
    """It is told from one with a hole, at which somebody has to look."""
    entries, stream = stored("one", "two")
    window = replace(make_window(), entries=tuple(strip(entry) for entry in entries))
    stream.rows.clear()
    assert await load_windows(stream, [window]) == [Absent.ALL]


def test_a_bare_entry_is_cut_like_a_whole_one() -> None:
    """What it matched when it was read stays, though its text is only in the stream."""
    (entry,) = make_window(["stop"]).entries
    memory = Memory(lambda _, __: replace_rules(RULES, bypass=compile_patterns(("stop",))), 0)
    memory.learn(entry, 100.0)
    (state,) = take_startable(memory, 1, orphan=False)
    assert state.entries[0].is_bare
    assert memory.window_to_start(state).closed_by is ClosedBy.BYPASS


def test_a_bare_entry_keeps_its_connection() -> None:
    """Whose rules and whose handler are its own does not hang on how much memory there was."""
    first, second, third = (
        replace(entry, message=replace(entry.message, connection=connection))
        for entry, connection in zip(
            make_window(["1", "2", "3"]).entries, ("a", "a", "b"), strict=True
        )
    )
    bare = strip(first)
    assert strip(second, bare).message is bare.message
    assert strip(third, bare).message.connection == "b"

    asked = []

    def rules_of(instance: str, connection: str | None) -> Rules:
        asked.append((instance, connection))
        return RULES

    memory = Memory(rules_of, 0)
    memory.learn(third, 100.0)
    assert set(asked) == {("shop", "b")}


def test_bulky_windows_wait_for_room_and_others_do_not() -> None:
    """Nobody's photographs keep a short message waiting; one bulky window always may start."""
    memory = Memory(lambda _instance, _connection: RULES, 0)
    big = BULKY_BYTES + 1
    for number, size in enumerate((big, big, 10, 10)):
        (entry,) = make_window(["x"], user=f"user-{number}").entries
        memory.learn(replace(entry, size_bytes=size), 100.0)
    observe(memory, 60_000)
    assert [s.key[1] for s in take_startable(memory, 10, 0, orphan=False)] == ["user-2", "user-3"]
    assert memory.startable
    assert [s.key[1] for s in take_startable(memory, 10, 1, orphan=False)] == ["user-0"]
    assert [s.key[1] for s in take_startable(memory, 10, 1, orphan=False)] == ["user-1"]


def test_neither_kind_of_window_waits_for_the_end_of_the_other() -> None:
    """With room and few slots they come by turns."""
    memory = Memory(lambda _instance, _connection: RULES, 0)
    for number in range(8):
        (entry,) = make_window(["x"], user=f"user-{number}").entries
        memory.learn(replace(entry, size_bytes=BULKY_BYTES + 1 if number < 4 else 10), 100.0)
    observe(memory, 60_000)
    turns = turns_of(memory)
    taken = [turns.take(1, 10**9, orphan=False)[0][1].key[1] for _ in range(4)]
    assert sum(user < "user-4" for user in taken) == 2
