"""Answers in which no reply was found: silence to the user, but not to who runs the handler."""

from __future__ import annotations

import structlog

from shared.counting import Counter
from shared.model import Result, Silence, Window

log = structlog.get_logger()


def count_unread(result: Result | None, window: Window, counter: Counter) -> None:
    """Count and tell it if that is what an attempt came to; the fields' names, never a text."""
    if isinstance(result, Silence) and result.unread:
        counter.inc()
        log.warning(
            "answer.no_reply",
            window=window.id,
            instance=window.instance,
            reason=result.reason,
        )
