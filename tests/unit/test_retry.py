"""What follows from an attempt."""

from __future__ import annotations

import pytest

from consumer.retry import (
    UNAVAILABLE_MAX_MS,
    Attempt,
    Decision,
    Finish,
    GiveUp,
    Postpone,
    RetryRules,
    backoff_ms,
    decide,
    retry_rules,
    unavailable_delay_ms,
)
from shared.model import Rejected, Reply, Result, Retry, Silence, Unavailable
from shared.settings import Settings

RULES = RetryRules(max_attempts=3, base_ms=1000, max_ms=300_000, unavailable_ms=600_000)
NOW_MS = 1_700_000_000_000
ALMOST_1 = 1 - 2**-53


def attempt(number: int = 1, delay_ms: int = 0, since_ms: int = 0) -> Attempt:
    """An attempt that ended now."""
    return Attempt(number=number, delay_ms=delay_ms, unavailable_since_ms=since_ms, now_ms=NOW_MS)


def after(result: Result, of: Attempt | None = None, draw: float = 0.0) -> Decision:
    """The decision under ``RULES``."""
    return decide(result, of or attempt(), RULES, draw)


def test_reply_finishes_with_its_texts() -> None:
    """What the handler said goes out, in its order."""
    assert after(Reply(texts=("a", "b"))) == Finish(texts=("a", "b"))


def test_silence_finishes_without_texts() -> None:
    """Nothing to say is an answer too."""
    assert after(Silence()) == Finish(texts=())


@pytest.mark.parametrize("number", [1, 3])
def test_reject_gives_up_at_once(number: int) -> None:
    """A window that can never be answered is not tried again."""
    assert after(Rejected(error="no"), attempt(number)) == GiveUp(error="no")


def test_retry_counts_until_the_last_attempt() -> None:
    """Two more attempts, then a dead letter with the last error."""
    decisions = [after(Retry(error="500"), attempt(number)) for number in (1, 2, 3, 4)]
    assert decisions == [
        Postpone(delay_ms=500, counts=True, unavailable=False, error="500"),
        Postpone(delay_ms=1000, counts=True, unavailable=False, error="500"),
        GiveUp(error="500"),
        GiveUp(error="500"),
    ]


@pytest.mark.parametrize("asked_ms, obeyed_ms", [(0, 0), (7000, 7000), (300_001, 300_000), (-5, 0)])
def test_retry_after_is_obeyed_up_to_the_limit(asked_ms: int, obeyed_ms: int) -> None:
    """The endpoint knows best when, but not beyond ``RETRY_MAX_MS``."""
    decision = after(Retry(error="429", after_ms=asked_ms))
    assert isinstance(decision, Postpone)
    assert decision.delay_ms == obeyed_ms


def test_unavailable_does_not_count_until_its_time_is_over() -> None:
    """The endpoint is at fault: attempts stay, for ``UNAVAILABLE_MS`` from the first time."""
    down = Unavailable(error="refused")
    for since_ms in (0, NOW_MS, NOW_MS - 599_999):
        decision = after(down, attempt(3, since_ms=since_ms))
        assert isinstance(decision, Postpone)
        assert (decision.counts, decision.unavailable) == (False, True)


def test_unavailable_for_too_long_is_an_error_that_counts() -> None:
    """Then the window's attempts are used up as by any error, and ``since`` stands."""
    down, since_ms = Unavailable(error="refused"), NOW_MS - 600_000
    decision = after(down, attempt(1, since_ms=since_ms))
    assert decision == Postpone(delay_ms=500, counts=True, unavailable=True, error="refused")
    assert after(down, attempt(3, since_ms=since_ms)) == GiveUp(error="refused")


@pytest.mark.parametrize("number", [1, 2, 5, 9, 40, 1000])
def test_backoff_doubles_with_equal_jitter_up_to_the_limit(number: int) -> None:
    """Half of the delay is sure, half is drawn; it never passes ``RETRY_MAX_MS``."""
    whole_ms = min(1000 * 2 ** (number - 1), 300_000)
    assert backoff_ms(number, RULES, 0.0) == whole_ms // 2
    assert backoff_ms(number, RULES, 0.5) == whole_ms * 3 // 4
    assert backoff_ms(number, RULES, ALMOST_1) == whole_ms


@pytest.mark.parametrize("draw", [0.0, 0.5, ALMOST_1])
def test_unavailable_backs_off_to_half_a_minute(draw: float) -> None:
    """It grows from the base, and half a minute after the endpoint is back all are served."""
    delay_ms, delays = 0, []
    for _ in range(12):
        delay_ms = unavailable_delay_ms(delay_ms, RULES, draw)
        delays.append(delay_ms)
    assert 500 <= delays[0] <= 1000
    assert max(delays) <= UNAVAILABLE_MAX_MS
    assert delays == sorted(delays)
    if draw:
        assert delays[-1] >= UNAVAILABLE_MAX_MS * (1 + draw) / 2 - 1


def test_small_limit_also_bounds_the_unavailable_backoff() -> None:
    """Who sets ``RETRY_MAX_MS`` to 5 s never waits longer."""
    rules = RetryRules(max_attempts=3, base_ms=1000, max_ms=5000, unavailable_ms=600_000)
    assert unavailable_delay_ms(60_000, rules, ALMOST_1) == 5000


@pytest.mark.parametrize("kind", [Retry, Unavailable, Rejected])
@pytest.mark.parametrize("number", [1, 3])
def test_error_is_made_fit_for_utf_8(
    kind: type[Retry | Unavailable | Rejected], number: int
) -> None:
    """Half a surrogate pair in an exception's message would stop the connection for everybody."""
    decision = after(kind(error="no file \udcff, „sorry“"), attempt(number))
    assert not isinstance(decision, Finish)
    assert decision.error == "no file ?, „sorry“"


def test_rules_come_from_the_settings() -> None:
    """The settings' names are the rules'."""
    settings = Settings(max_attempts=7, retry_base_ms=2, retry_max_ms=3, unavailable_ms=4)
    assert retry_rules(settings) == RetryRules(
        max_attempts=7, base_ms=2, max_ms=3, unavailable_ms=4
    )


def test_an_unavailable_endpoint_is_never_called_in_a_tight_loop() -> None:
    """``Retry-After: 0`` is obeyed only down to half of the base: these tries do not count."""
    decision = decide(Unavailable(error="503", after_ms=0), attempt(1), RULES, 0.0)
    assert decision == Postpone(delay_ms=500, counts=False, unavailable=True, error="503")
