"""
How an exception is told in a log: where it came from, and of which class it is.

What an exception says about itself may hold what it choked on: a user's words, a token, a header.
So only the system's errors and our own speak (``shared.errors`` names things, not what people
wrote); of all others a log has the class. The places and their lines of code tell the rest.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator

from shared.errors import InturnError, Reject, RetryLater

FRAMES_MAX = 30
"""A traceback of a runaway recursion is a thousand frames; the innermost ones tell."""

CHAIN_MAX = 8
GROUP_MAX = 15
UNSAID = "***"

_HANDLERS_OWN = (RetryLater, Reject)
"""A handler raises these with words of its own, which may be a user's."""


def tell_error(error: BaseException) -> str:
    """Its class, and what it says where that names no person: on one line."""
    kind = type(error).__name__
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return f"{kind}: [Errno {error.errno}] {os.strerror(error.errno)}"
    if isinstance(error, InturnError) and not isinstance(error, _HANDLERS_OWN):
        return " ".join(f"{kind}: {error}".split())
    return f"{kind}: {UNSAID}" if error.args else kind


def tell_traceback(error: BaseException) -> str:
    """Its places and those of what led to it, innermost last, without values of locals."""
    return "\n".join(_lines(error, set()))


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before, link = _before(error)
    if before is not None and id(before) not in seen and len(seen) < CHAIN_MAX:
        yield from _lines(before, seen)
        yield link
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):"
        for frames in traceback.format_tb(error.__traceback__, limit=-FRAMES_MAX):
            yield from frames.rstrip("\n").split("\n")
    yield tell_error(error)
    if isinstance(error, BaseExceptionGroup):
        for number, inner in enumerate(error.exceptions[:GROUP_MAX], 1):
            if id(inner) in seen or len(seen) >= CHAIN_MAX + GROUP_MAX:
                continue
            yield f"  | {number} of {len(error.exceptions)}"
            yield from (f"  | {line}" for line in _lines(inner, seen))


def _before(error: BaseException) -> tuple[BaseException | None, str]:
    if error.__cause__ is not None:
        return error.__cause__, "which was the cause of:"
    if error.__suppress_context__:
        return None, ""
    return error.__context__, "and while that was handled:"
