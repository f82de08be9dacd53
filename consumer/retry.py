"""
What follows from an attempt: pure, and all the arithmetic of retries in one place.

A *retry* counts against ``max_attempts``, *unavailable* does not until ``unavailable_ms`` are
over, *reject* is a dead letter at once. Backoff is exponential with equal jitter: half of the
delay is sure, half is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from shared.model import Memory, Rejected, Reply, Result, Retry, Silence, Unavailable
from shared.settings import Settings

UNAVAILABLE_MAX_MS = 30_000
"""How far the backoff of an unavailable endpoint grows: half a minute after it is back,
everybody is served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRules:
    """Attempts and delays, from the settings."""

    max_attempts: int
    base_ms: int
    max_ms: int
    unavailable_ms: int


def retry_rules(settings: Settings) -> RetryRules:
    """The settings' part that speaks of retries."""
    return RetryRules(
        max_attempts=settings.max_attempts,
        base_ms=settings.retry_base_ms,
        max_ms=settings.retry_max_ms,
        unavailable_ms=settings.unavailable_ms,
    )


class Attempt(Struct, frozen=True, kw_only=True, gc=False):
    """
    What the record says of the running attempt.

    ``number`` from 1; ``delay_ms`` is the last backoff (0: none yet); ``unavailable_since_ms``
    is when the endpoint was first found unavailable (0: it was not); ``now_ms`` is Redis's time.
    """

    number: int
    delay_ms: int
    unavailable_since_ms: int
    now_ms: int


class Finish(Struct, frozen=True, kw_only=True, gc=False):
    """
    The window is done: with texts to send, or in silence (none), which has a reason.

    ``metadata``: what else the answer held; ``memory``: what the handler is told again;
    ``mute_ms``: for how long the user is a person's then.
    """

    texts: tuple[str, ...]
    silence: str = "silent"
    metadata: dict[str, Any] = {}
    memory: Memory | None = None
    mute_ms: int = 0


class GiveUp(Struct, frozen=True, kw_only=True, gc=False):
    """The window becomes a dead letter."""

    error: str


class Postpone(Struct, frozen=True, kw_only=True, gc=False):
    """The window is tried again in ``delay_ms``; ``counts`` says whether this attempt did."""

    delay_ms: int
    counts: bool
    unavailable: bool
    error: str


Decision = Finish | GiveUp | Postpone


def decide(result: Result, attempt: Attempt, rules: RetryRules, draw: float) -> Decision:
    """
    What to do after an attempt came to ``result``; ``draw`` is uniform in [0, 1).

    An error's text is made fit for UTF-8: an exception's message may hold half a surrogate pair,
    which no connection and no dead letter could take.
    """
    match result:
        case Reply(texts=texts, metadata=metadata, memory=memory, mute_ms=mute_ms):
            return Finish(texts=texts, metadata=metadata, memory=memory, mute_ms=mute_ms)
        case Silence(mute_ms=mute_ms):
            return Finish(texts=(), mute_ms=mute_ms)
        case Rejected(error=error):
            return GiveUp(error=_in_utf_8(error))
        case Unavailable(error=error, after_ms=after_ms):
            since = attempt.unavailable_since_ms
            if not since or attempt.now_ms - since < rules.unavailable_ms:
                delay_ms = unavailable_delay_ms(attempt.delay_ms, rules, draw)
                delay_ms = max(_obey(after_ms, delay_ms, rules), rules.base_ms // 2)
                error = _in_utf_8(error)
                return Postpone(delay_ms=delay_ms, counts=False, unavailable=True, error=error)
            return _count(error, after_ms, attempt, rules, draw, unavailable=True)
        case Retry(error=error, after_ms=after_ms):
            return _count(error, after_ms, attempt, rules, draw, unavailable=False)


def _count(
    error: str,
    after_ms: int | None,
    attempt: Attempt,
    rules: RetryRules,
    draw: float,
    *,
    unavailable: bool,
) -> Decision:
    error = _in_utf_8(error)
    if attempt.number >= rules.max_attempts:
        return GiveUp(error=error)
    delay_ms = _obey(after_ms, backoff_ms(attempt.number, rules, draw), rules)
    return Postpone(delay_ms=delay_ms, counts=True, unavailable=unavailable, error=error)


def _obey(after_ms: int | None, delay_ms: int, rules: RetryRules) -> int:
    return delay_ms if after_ms is None else min(max(after_ms, 0), rules.max_ms)


def backoff_ms(attempt: int, rules: RetryRules, draw: float) -> int:
    """The wait after the ``attempt``-th failure: ``base_ms`` doubling up to ``max_ms``."""
    return _jittered(min(rules.base_ms * 2 ** min(attempt - 1, 30), rules.max_ms), draw)


def unavailable_delay_ms(last_ms: int, rules: RetryRules, draw: float) -> int:
    """
    The wait before an unavailable endpoint is tried again: doubling up to 30 s.

    It is never below half of ``base_ms``, whatever ``Retry-After`` says: these tries do not count.
    """
    ceiling = min(UNAVAILABLE_MAX_MS, rules.max_ms)
    return _jittered(min(max(rules.base_ms, 2 * last_ms), ceiling), draw)


def _in_utf_8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _jittered(delay_ms: int, draw: float) -> int:
    return round(delay_ms / 2 + delay_ms / 2 * draw)
