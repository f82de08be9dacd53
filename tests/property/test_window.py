"""The cut against an independent naive cutter, over random histories, rules and watermarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ops.chaos.asking import Asks
from ops.chaos.cutter import NaiveWindow, Raw, cut_naively
from shared.model import ClosedBy, Kind, Window, window_id
from shared.window import Rules, first_cut, match_entries
from tests.support.histories import (
    BYPASS,
    FLUSH,
    INSTANCE,
    START_MS,
    USER,
    entries_of,
    histories,
    rules,
)
from tests.support.whole_cut import cut_windows

FOREVER_MS = 2 * START_MS
DEFAULTS = Rules(max_wait_ms=8000, max_messages=5, quiet_ms=0, grace_ms=2000)


def seen(windows: Sequence[Window]) -> list[tuple[list[str], str, int]]:
    """What the oracle also tells of a window: members, reason, due time."""
    return [
        ([str(entry.id) for entry in w.entries], w.closed_by.value, w.closed_at) for w in windows
    ]


def expected(windows: Sequence[NaiveWindow]) -> list[tuple[list[str], str, int]]:
    """The oracle's answer in the same form."""
    return [([f"{raw.ms}-{raw.seq}" for raw in w.members], w.reason, w.due_ms) for w in windows]


def history_of(*offsets_ms: int) -> list[Raw]:
    """Messages so many ms after the first."""
    return [Raw(START_MS + ms, 0, f"M{number}") for number, ms in enumerate(offsets_ms)]


def cut(history: Sequence[Raw], of: Rules, watermark_ms: int = FOREVER_MS) -> list[Window]:
    """All closed windows."""
    return cut_windows(entries_of(history, of), of, watermark_ms)[0]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Rules, list[Raw], int]:
    """Rules, a history, and a watermark somewhere between its start and long after its end."""
    of = draw(rules())
    history = draw(histories(of))
    span_ms = history[-1].ms - START_MS + of.max_wait_ms + 2
    return of, history, START_MS + draw(st.integers(0, span_ms))


@settings(max_examples=1500, deadline=None)
@given(case=cases())
def test_windows_are_those_of_the_naive_cutter(case: tuple[Rules, list[Raw], int]) -> None:
    """Whatever was written when, and however far was read: members, reasons and due times agree."""
    of, history, watermark_ms = case
    assert seen(cut(history, of)) == expected(cut_naively(history, of))
    assert seen(cut(history, of, watermark_ms)) == expected(cut_naively(history, of, watermark_ms))


@settings(max_examples=500, deadline=None)
@given(case=cases())
def test_windows_partition_the_entries_in_order(case: tuple[Rules, list[Raw], int]) -> None:
    """Every entry is in one window or still open, none changes place, and ids are unique."""
    of, history, watermark_ms = case
    entries = entries_of(history, of)
    windows, rest = cut_windows(entries, of, watermark_ms)
    assert [entry for window in windows for entry in window.entries] + rest == entries
    assert all(window.entries for window in windows)
    assert len({window.id for window in windows}) == len(windows)
    for window in windows:
        if window.closed_by is not ClosedBy.REPLAY:
            assert window.id == window_id(INSTANCE, USER, window.entries[0].id)
            assert window.opened_at == window.entries[0].id.ms


@settings(max_examples=500, deadline=None)
@given(case=cases(), data=st.data())
def test_what_was_cut_early_is_never_cut_otherwise(
    case: tuple[Rules, list[Raw], int], data: st.DataObject
) -> None:
    """From any part of the stream, at any watermark it allows, the same windows come first."""
    of, history, _ = case
    entries = entries_of(history, of)
    whole, _ = cut_windows(entries, of, FOREVER_MS)
    read = data.draw(st.integers(1, len(entries)))
    unread_from_ms = entries[read].id.ms if read < len(entries) else FOREVER_MS
    early, rest = cut_windows(entries[:read], of, data.draw(st.integers(0, unread_from_ms)))
    assert early == whole[: len(early)]
    late, _ = cut_windows([*rest, *entries[read:]], of, FOREVER_MS)
    assert early + late == whole


@settings(max_examples=500, deadline=None)
@given(case=cases())
def test_what_asks_for_its_window_gets_it_at_once(case: tuple[Rules, list[Raw], int]) -> None:
    """What bypasses is alone, what flushes comes last; neither waits, however far was read."""
    of, history, _ = case
    entries = entries_of(history, of)
    for at, (raw, entry) in enumerate(zip(history, entries, strict=True)):
        if raw.is_replay or not raw.asks:
            continue
        window = cut_windows(entries[: at + 1], of, watermark_ms=0)[0][-1]
        assert window.entries[-1] == entry
        assert (window.closed_by.value, window.closed_at) == (raw.asks, entry.id.ms)
        assert raw.asks == "flush" or len(window.entries) == 1
    for window in cut_windows(entries, of, FOREVER_MS)[0]:
        asking = [at for at, one in enumerate(window.entries) if one.matched is not None]
        assert asking in ([], [len(window.entries) - 1])


@settings(max_examples=500, deadline=None)
@given(case=cases())
def test_later_messages_neither_shorten_nor_lengthen_the_wait(
    case: tuple[Rules, list[Raw], int],
) -> None:
    """While quiet is off, a window that is not filled up is due ``max_wait_ms`` after its first."""
    of, history, _ = case
    steady = Rules(max_wait_ms=of.max_wait_ms, max_messages=1000, quiet_ms=0, grace_ms=0)
    entries = entries_of([raw._replace(is_replay=False) for raw in history], steady)
    due = {first_cut(entries[:read], steady).due_ms for read in range(1, len(entries) + 1)}
    assert due == {entries[0].id.ms + of.max_wait_ms}
    for window in cut_windows(entries, steady, FOREVER_MS)[0]:
        assert window.closed_at == window.opened_at + of.max_wait_ms


@settings(max_examples=500, deadline=None)
@given(case=cases())
def test_a_window_is_closed_as_soon_as_nothing_can_join(
    case: tuple[Rules, list[Raw], int],
) -> None:
    """One ms before its due time the last window is open, at its due time it is closed."""
    of, history, _ = case
    entries = entries_of(history, of)
    last = cut_windows(entries, of, FOREVER_MS)[0][-1]
    if last.closed_by not in (ClosedBy.MAX_WAIT, ClosedBy.QUIET):
        return
    windows, rest = cut_windows(entries, of, last.closed_at - 1)
    assert tuple(rest) == last.entries
    assert cut_windows(entries, of, last.closed_at) == ([*windows, last], [])


def test_message_at_7999_ms_is_in_and_at_8000_ms_opens_the_next() -> None:
    """The due time itself belongs to the next window."""
    assert [len(w.entries) for w in cut(history_of(0, 7999), DEFAULTS)] == [2]
    assert [len(w.entries) for w in cut(history_of(0, 8000), DEFAULTS)] == [1, 1]
    first, second = cut(history_of(0, 7900, 8100), DEFAULTS)
    assert [len(first.entries), len(second.entries)] == [2, 1]
    assert (first.closed_at, second.closed_at) == (START_MS + 8000, START_MS + 16_100)


def test_watermark_at_the_due_time_closes_and_one_before_does_not() -> None:
    """Everything older than the watermark was read, so 8000 ms after the first it is enough."""
    assert cut(history_of(0), DEFAULTS, START_MS + 7999) == []
    (window,) = cut(history_of(0), DEFAULTS, START_MS + 8000)
    assert window.closed_by is ClosedBy.MAX_WAIT


def test_entry_past_the_due_time_closes_whatever_the_watermark() -> None:
    """After a step of Redis's clock the watermark may lie; the stream's order does not."""
    (window,) = cut(history_of(0, 9000), DEFAULTS, watermark_ms=0)
    assert (window.closed_by, window.closed_at) == (ClosedBy.MAX_WAIT, START_MS + 8000)


def test_fifth_message_closes_at_once_and_the_sixth_opens_the_next() -> None:
    """A full window waits for nothing, and is closed at its last message's time."""
    windows, rest = cut_windows(entries_of(history_of(0, 1, 2, 3, 4, 5), DEFAULTS), DEFAULTS, 0)
    assert [len(w.entries) for w in windows] == [5]
    assert (windows[0].closed_by, windows[0].closed_at) == (
        ClosedBy.MAX_MESSAGES,
        START_MS + 4,
    )
    assert [entry.id.ms for entry in rest] == [START_MS + 5]


def test_quiet_closes_early_but_never_late() -> None:
    """Silence of ``quiet_ms`` ends a window; a chatterer is cut off at ``max_wait_ms``."""
    of = Rules(max_wait_ms=8000, max_messages=100, quiet_ms=2000, grace_ms=2000)
    early, late = cut(history_of(0, 1999, 3999), of)
    assert (early.closed_by, early.closed_at) == (ClosedBy.QUIET, START_MS + 3999)
    assert late.closed_by is ClosedBy.QUIET
    chatter = cut(history_of(*range(0, 9000, 1000)), of)
    assert (chatter[0].closed_by, chatter[0].closed_at) == (ClosedBy.MAX_WAIT, START_MS + 8000)
    assert len(chatter[0].entries) == 8


def test_pass_through_gives_every_message_its_own_window_at_once() -> None:
    """Nothing is gathered and nothing waits."""
    of = Rules(max_wait_ms=8000, max_messages=5, quiet_ms=0, grace_ms=2000, pass_through=True)
    windows = cut(history_of(0, 0, 1), of, watermark_ms=0)
    assert [len(w.entries) for w in windows] == [1, 1, 1]
    assert {w.closed_by for w in windows} == {ClosedBy.PASS_THROUGH}


def test_replay_flushes_the_open_window_and_keeps_its_old_id() -> None:
    """The dead window comes back alone, under its id, with its old members."""
    history = [*history_of(0, 10), Raw(START_MS + 20, 0, "M2", is_replay=True)]
    history += [Raw(START_MS + 30, 0, "M3")]
    entries = entries_of(history, DEFAULTS)
    (flushed, replayed), rest = cut_windows(entries, DEFAULTS, 0)
    assert (flushed.closed_by, len(flushed.entries)) == (ClosedBy.FLUSH, 2)
    assert flushed.closed_at == START_MS + 20
    dead = entries[2].replayed
    assert dead is not None
    assert (replayed.closed_by, replayed.id) == (ClosedBy.REPLAY, dead.id)
    assert (replayed.entries, replayed.members) == ((entries[2],), dead.entries)
    assert rest == [entries[3]]


def asking(*asks: Asks) -> list[Raw]:
    """Messages 10 ms apart that ask for that."""
    return [
        Raw(START_MS + 10 * number, 0, f"M{number}", asks=one) for number, one in enumerate(asks)
    ]


def test_a_command_is_handled_alone_behind_what_came_before() -> None:
    """It closes the window before it, which starts first; what follows opens the next."""
    of = replace(DEFAULTS, bypass=BYPASS)
    entries = entries_of(asking("", "", "bypass", ""), of)
    (before, command), rest = cut_windows(entries, of, 0)
    assert (before.closed_by, before.entries) == (ClosedBy.FLUSH, tuple(entries[:2]))
    assert before.closed_at == START_MS + 20
    assert (command.closed_by, command.entries) == (ClosedBy.BYPASS, (entries[2],))
    assert command.closed_at == START_MS + 20
    assert rest == [entries[3]]


def test_a_stop_word_is_its_windows_last() -> None:
    """The window closes now, with it; also where it is the only one."""
    of = replace(DEFAULTS, flush=FLUSH)
    entries = entries_of(asking("", "flush", "flush", ""), of)
    windows, rest = cut_windows(entries, of, 0)
    assert [window.entries for window in windows] == [tuple(entries[:2]), (entries[2],)]
    assert {window.closed_by for window in windows} == {ClosedBy.FLUSH}
    assert [window.closed_at for window in windows] == [START_MS + 10, START_MS + 20]
    assert rest == [entries[3]]


def test_what_asks_past_the_due_time_belongs_to_the_next_window() -> None:
    """A stop word ends what is open; what was due before it closed by itself."""
    of = replace(DEFAULTS, flush=FLUSH, max_wait_ms=10)
    first, second = cut(asking("", "flush"), of)
    assert (first.closed_by, first.closed_at) == (ClosedBy.MAX_WAIT, START_MS + 10)
    assert (second.closed_by, len(second.entries)) == (ClosedBy.FLUSH, 1)


def test_bypass_goes_before_flush_and_both_before_the_mode() -> None:
    """``closed_by`` tells a handler that a message is a command, whatever else shapes windows."""
    of = replace(DEFAULTS, bypass=BYPASS, flush=FLUSH, pass_through=True, max_messages=1)
    (entry,) = entries_of(asking(""), of)
    reaction = structs.replace(entry, message=structs.replace(entry.message, kind=Kind.REACTION))
    (entry,) = match_entries(INSTANCE, [reaction], lambda _, __: of)
    assert [w.closed_by for w in cut_windows([entry], of, 0)[0]] == [ClosedBy.BYPASS]
    windows = cut(asking("flush", "", "bypass"), of, 0)
    expected_reasons = [ClosedBy.FLUSH, ClosedBy.PASS_THROUGH, ClosedBy.BYPASS]
    assert [window.closed_by for window in windows] == expected_reasons


def test_no_entries_make_no_windows() -> None:
    """A user who wrote nothing has nothing to close."""
    assert cut_windows([], DEFAULTS, FOREVER_MS) == ([], [])
