"""How much comes and is finished in a second, out of what Redis keeps."""

from __future__ import annotations

import pytest

from ingest.console.rates import (
    GAP_MS,
    LATENESS_SPAN_MS,
    POINTS,
    SPAN_MS,
    Ending,
    RateMeter,
    endings_in,
)

T0 = 1_700_000_000_000


def ended(at: int, messages: int = 1, late_ms: int | None = None) -> Ending:
    """A window's end."""
    return Ending(at=at, what="answered", messages=messages, late_ms=late_ms)


def row(**fields: object) -> tuple[bytes, list[bytes]]:
    """A journal's row as Redis gives it."""
    flat = [part for name, value in fields.items() for part in (name.encode(), str(value).encode())]
    return b"1700000000005-0", flat


def test_one_look_knows_no_rate() -> None:
    """Nothing is better than a number that stands for no time."""
    meter = RateMeter()
    meter.take(T0, 40, [ended(T0 - 10)])
    assert (meter.rates().accepted, meter.rates().finished) == (None, None)


def test_what_was_accepted_is_what_was_finished_and_what_has_grown() -> None:
    """Also while the backlog shrinks, and while nothing is finished."""
    meter = RateMeter()
    meter.take(T0, 100, [])
    meter.take(T0 + 2000, 90, [ended(T0 + 1, 30)])
    assert (meter.rates().accepted, meter.rates().finished) == (10.0, 15.0)
    meter.take(T0 + 4000, 190, [])
    assert (meter.rates().accepted, meter.rates().finished) == (30.0, 7.5)


def test_a_backlog_that_somebody_deleted_was_not_accepted() -> None:
    """No rate is below zero."""
    meter = RateMeter()
    meter.take(T0, 1000, [])
    meter.take(T0 + 1000, 0, [])
    assert meter.rates().accepted == 0


def test_a_rate_is_over_the_last_seconds() -> None:
    """What was before that has no part in it, however often one looks."""
    meter = RateMeter()
    for second in range(20):
        done = [ended(T0 + second * 1000, 100)] if 0 < second < 10 else []
        meter.take(T0 + second * 1000, 0, done)
    assert meter.rates().finished == 0
    meter.take(T0 + 20_000, 0, [ended(T0 + 19_500, 50)])
    assert meter.rates().finished == 50 / (SPAN_MS / 1000)


def test_there_is_a_point_for_each_second_and_no_more_than_are_drawn() -> None:
    """Looked at twice a second, for longer than the chart is wide."""
    meter = RateMeter()
    for half in range(2 * POINTS + 40):
        meter.take(T0 + half * 500, half, [ended(T0, 2)])
    history = meter.rates().history
    assert len(history) == POINTS
    assert set(history) == {(6.0, 4.0, backlog) for _, _, backlog in history}


def test_lateness_is_told_by_its_middle_and_its_end() -> None:
    """Of the windows that ended lately; the others are forgotten."""
    meter = RateMeter()
    meter.take(T0, 0, [ended(T0, late_ms=9000)])
    late = [ended(T0 + LATENESS_SPAN_MS, late_ms=ms) for ms in range(100)]
    meter.take(T0 + LATENESS_SPAN_MS, 0, [*late, ended(T0 + LATENESS_SPAN_MS)])
    assert (meter.rates().late_p50_ms, meter.rates().late_p99_ms) == (50, 99)
    meter.take(T0 + 3 * LATENESS_SPAN_MS, 0, [])
    assert meter.rates().late_p99_ms is None


@pytest.mark.parametrize("later_ms", [-5000, GAP_MS])
def test_after_a_gap_it_begins_anew(later_ms: int) -> None:
    """Nobody has looked for a while, or Redis's clock was set back."""
    meter = RateMeter()
    assert meter.is_due_anew(T0)
    meter.take(T0, 5, [])
    assert not meter.is_due_anew(T0 + GAP_MS - 1)
    assert meter.is_due_anew(T0 + later_ms)
    meter.begin()
    meter.take(T0 + later_ms, 0, [])
    assert (meter.rates().accepted, meter.rates().history) == (None, [])


def test_a_journal_says_how_many_messages_and_how_late() -> None:
    """Of a first attempt; another one begins late for another reason, a replay years later."""
    first = row(what="answered", ids="1-0 2-0", attempt=1, closed=100, started=103, by="max_wait")
    again = row(what="dead", ids="1-0", attempt=2, closed=100, started=999, by="max_wait")
    replay = row(what="answered", ids="1-0", attempt=1, closed=100, started=999, by="replay")
    sent = row(what="sent", window="w_x", ref="1-0")
    assert list(endings_in([first, again, replay, sent])) == [
        Ending(at=T0 + 5, what="answered", messages=2, late_ms=3),
        Ending(at=T0 + 5, what="dead", messages=1, late_ms=None),
        Ending(at=T0 + 5, what="answered", messages=1, late_ms=None),
        Ending(at=T0 + 5, what="sent", messages=0, late_ms=None),
    ]


def test_what_somebody_else_wrote_into_a_journal_is_left_out() -> None:
    """One row that means nothing hides no other."""
    strange = [row(x="y"), row(what="answered", ids="1-0", attempt=1, started="x", by="quiet")]
    good = row(what="silent", ids="1-0")
    assert [one.what for one in endings_in([*strange, good])] == ["silent"]
