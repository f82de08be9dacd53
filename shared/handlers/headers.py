"""Headers that settings add to a handler's calls: which may be, and what they may hold."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE = re.compile(r"[^\x00-\x1f\x7f]{1,8192}")

_OURS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "te",
        "traceparent",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)
"""What a call says of itself, or of its connection."""


def check_header_name(name: str) -> str:
    """
    The name, as it is.

    Raises:
        ValueError: no header has such a name (RFC 9110, section 5.1), or it is one of inturn's.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("not a header's name")
    if name.lower() in _OURS:
        raise ValueError("this header is set by inturn")
    return name


def check_header_value(value: str) -> str:
    """
    The value, as it is.

    Raises:
        ValueError: empty, larger than 8 KiB, or with line breaks; the value is not repeated.
    """
    if not _VALUE.fullmatch(value):
        raise ValueError("a header's value is one line, not empty, of at most 8192 characters")
    return value
