"""``mute_s`` in an answer: for how long the user is a person's then."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from consumer.retry import Attempt, Finish, RetryRules, decide
from shared.handlers.handover import MUTE_MAX_MS, mute_ms_in
from shared.handlers.python import judge_answer
from shared.handlers.replies import read_body, read_json, read_text
from shared.model import Reply, Retry, Silence

RULES = RetryRules(max_attempts=3, base_ms=1000, max_ms=300_000, unavailable_ms=600_000)
ATTEMPT = Attempt(number=1, delay_ms=0, unavailable_since_ms=0, now_ms=1)


@pytest.mark.parametrize(
    "value, ms",
    [
        (600, 600_000),
        (0.5, 500),
        (0.0001, 1),
        (1e300, MUTE_MAX_MS),
        (float("inf"), MUTE_MAX_MS),
        (10**400, MUTE_MAX_MS),
        (0, 0),
        (-5, 0),
        (float("nan"), 0),
        (True, 0),
        ("600", 0),
        (None, 0),
        ([600], 0),
    ],
)
def test_seconds_are_read(value: Any, ms: int) -> None:
    """A number above zero, at most a week; anything else mutes nobody, and raises nothing."""
    assert mute_ms_in({"mute_s": value}) == ms
    assert mute_ms_in({}) == 0


@pytest.mark.parametrize(
    "answer",
    [
        read_json({"reply": "One moment.", "mute_s": 60}),
        read_json([{"output": "One moment.", "mute_s": 60}]),
        read_json({"data": {"text": "One moment."}, "mute_s": 60}, ("data", "text")),
        read_text('{"reply": "One moment.", "mute_s": 60}'),
        read_body("application/json", b'{"replies": ["One moment."], "mute_s": 60}'),
        judge_answer({"reply": "One moment.", "mute_s": 60}),
        judge_answer(Reply(texts=("One moment.",), metadata={"mute_s": 60})),
        judge_answer(Reply(texts=("One moment.",), mute_ms=60_000)),
    ],
)
def test_a_reply_may_be_the_last_for_a_while(answer: Any) -> None:
    """It is sent, and the user is muted from its finish on, however the answer is written."""
    assert isinstance(answer, Reply)
    assert (answer.texts, answer.mute_ms) == (("One moment.",), 60_000)
    decision = decide(answer, ATTEMPT, RULES, 0.5)
    assert isinstance(decision, Finish)
    assert (decision.texts, decision.mute_ms) == (("One moment.",), 60_000)


@pytest.mark.parametrize(
    "answer",
    [
        read_json({"mute_s": 60}),
        read_json({"reply": None, "mute_s": 60}),
        read_json({"reply": " ", "mute_s": 60}),
        read_json({"message": "done", "mute_s": 60}, ("data", "text")),
        judge_answer(Silence(mute_ms=60_000)),
        judge_answer(Reply(texts=(), mute_ms=60_000)),
    ],
)
def test_a_handler_may_hand_over_without_a_word(answer: Any) -> None:
    """Silence that was meant, so nothing is counted as unread."""
    assert isinstance(answer, Silence)
    assert (answer.mute_ms, answer.unread) == (60_000, False)
    decision = decide(answer, ATTEMPT, RULES, 0.5)
    assert isinstance(decision, Finish)
    assert (decision.texts, decision.silence, decision.mute_ms) == ((), "silent", 60_000)


def test_a_time_that_is_none_is_an_answer_without_a_reply() -> None:
    """It is logged and counted like every other status message."""
    answer = read_json({"mute_s": "soon"})
    assert isinstance(answer, Silence)
    assert (answer.unread, answer.mute_ms) == (True, 0)


@pytest.mark.parametrize("mute_ms", ["1 h", None, 0.5, True])
@pytest.mark.parametrize("answer", [Reply(texts=("Hi.",)), Silence()])
def test_a_time_that_is_no_number_fails_the_attempt(answer: Reply | Silence, mute_ms: Any) -> None:
    """A function may put anything there; in Redis it would fail every finish of its window."""
    judged = judge_answer(structs.replace(answer, mute_ms=mute_ms))
    assert judged == Retry(error=f"mute_ms is {type(mute_ms).__name__}, not int")


@pytest.mark.parametrize("mute_ms, kept", [(-1, 0), (10**30, MUTE_MAX_MS)])
def test_a_functions_own_time_is_bounded(mute_ms: int, kept: int) -> None:
    """As one in ``mute_s`` is."""
    assert judge_answer(Silence(mute_ms=mute_ms)) == Silence(mute_ms=kept)
    reply = Reply(texts=("Hi.",), mute_ms=mute_ms)
    assert judge_answer(reply) == structs.replace(reply, mute_ms=kept)
