"""When an owner wakes for what is due by Redis's clock, which it hears only through answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consumer.conversation import State
from consumer.timers import Timers
from tests.support.histories import START_MS

AWAKE_S = 1e9


def due_at(at_ms: int) -> Timers:
    """One window is due so many ms after the start."""
    timers = Timers()
    timers.close_at(State(("shop", "ann")), START_MS + at_ms)
    return timers


def wake_s(timers: Timers) -> float:
    """When it is time, to the microsecond."""
    return round(timers.next_wake_s(0.0, AWAKE_S, has_open=False, has_foreign=False), 6)


def test_a_slow_answer_delays_nothing_that_is_due_later() -> None:
    """What a fast answer said of Redis's time holds while no later one contradicts it."""
    timers = due_at(8000)
    timers.set_clock(START_MS + 1000, 100.0, 100.001)
    assert wake_s(timers) == 107.001
    timers.set_clock(START_MS + 1400, 100.3, 102.0)
    assert wake_s(timers) == 107.001


def test_a_faster_answer_tells_more() -> None:
    """It says that Redis's time is ahead of what a slow one before it let us think."""
    timers = due_at(8000)
    timers.set_clock(START_MS + 1000, 100.0, 102.0)
    timers.set_clock(START_MS + 3000, 102.0, 102.002)
    assert wake_s(timers) == 107.002


def test_a_step_of_rediss_clock_is_followed() -> None:
    """A time that the one before does not explain is a new one, in either direction."""
    timers = due_at(8000)
    timers.set_clock(START_MS + 1000, 100.0, 100.0)
    timers.set_clock(START_MS + 5000, 101.0, 101.5)
    assert wake_s(timers) == 104.5
    timers.set_clock(START_MS + 2000, 102.0, 102.25)
    assert wake_s(timers) == 108.25


@given(
    st.lists(st.tuples(*[st.integers(0, 400_000)] * 3), min_size=1, max_size=20),
    st.floats(0.0, 1e6),
)
def test_an_owner_wakes_no_later_than_its_fastest_answer_and_hardly_too_early(
    answers: list[tuple[int, int, int]], began_s: float
) -> None:
    """Times are of a steady clock: each answer is later than its request, Redis's time between."""
    timers, now_s = due_at(100_000_000), began_s
    fastest_s = AWAKE_S
    for pause_us, there_us, back_us in answers:
        asked_s = now_s + pause_us / 1e6
        said_s = asked_s + there_us / 1e6
        now_s = said_s + back_us / 1e6
        timers.set_clock(START_MS + int((said_s - began_s) * 1000), asked_s, now_s)
        fastest_s = min(fastest_s, back_us / 1e6)
    true_s = began_s + 100_000
    assert true_s - 0.001 <= wake_s(timers) <= true_s + fastest_s + 0.002
