"""
``traceparent``: the trace that a handler's call belongs to, for services that trace.

A window of which a message came with a trace belongs to the first such message's. Any other begins
one, which anybody can tell from the window's id: the first half of the id's SHA-256. The span is
the first quarter of the SHA-256 of the id, a dot and the attempt. So all attempts of a window are
one trace, each a span of its own, whichever worker makes them.
https://www.w3.org/TR/trace-context/ gives the form.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

HEADER = "traceparent"

_SAMPLED = "01"
"""A service that follows its caller's choice keeps the trace."""

_FORM = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)


def trace_in(header: str | None) -> str | None:
    """
    ``<trace id>-<flags>`` of a header as it came; None of one that is no traceparent.

    Of a later version what it has behind the flags is left out, as the specification asks.
    """
    found = _FORM.fullmatch(header) if header else None
    if found is None or (found["version"] == "00" and found["more"]):
        return None
    sampled = int(found["flags"], 16) & 1
    return f"{found['trace']}-{sampled:02x}"


def traceparent_of(window_id: str, attempt: int, traces: Iterable[str | None] = ()) -> str:
    """The header's value; ``traces`` are the messages' own, in their order."""
    trace, flags = hashlib.sha256(window_id.encode()).hexdigest()[:32], _SAMPLED
    came = next(filter(None, traces), None)
    if came is not None:
        trace, _, flags = came.partition("-")
    span = hashlib.sha256(f"{window_id}.{attempt}".encode()).hexdigest()[:16]
    return f"00-{trace}-{span}-{flags}"
