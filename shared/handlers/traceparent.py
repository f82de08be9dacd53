"""
``traceparent``: the trace that a handler's call belongs to, for services that trace.

A window is made of many requests, so it begins a trace of its own. Anybody can tell which from the
window's id: the trace is the first half of the id's SHA-256, the span the first quarter of the
SHA-256 of the id, a dot and the attempt. So all attempts of a window are one trace, each a span
of its own, whichever worker makes them.
https://www.w3.org/TR/trace-context/ gives the form.
"""

from __future__ import annotations

import hashlib

_SAMPLED = "01"
"""A service that follows its caller's choice keeps the trace."""


def traceparent_of(window_id: str, attempt: int) -> str:
    """The header's value."""
    trace = hashlib.sha256(window_id.encode()).hexdigest()[:32]
    span = hashlib.sha256(f"{window_id}.{attempt}".encode()).hexdigest()[:16]
    return f"00-{trace}-{span}-{_SAMPLED}"
