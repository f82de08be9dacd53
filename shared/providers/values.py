"""
The leaves of providers' JSON, read totally: whatever stands there, nothing raises.

WhatsApp's values are protobuf that went through several JSON encoders, so a 64-bit number may be
a number, a string or ``{low, high, unsigned}``, and bytes may be base64, ``{"0": 194, ...}`` or
Node's ``{"type": "Buffer", "data": [...]}``. What cannot be read as asked for counts as absent.
"""

from __future__ import annotations

import base64
import hashlib
import math
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from shared.model import Kind

FILE_KINDS = frozenset({Kind.IMAGE, Kind.VIDEO, Kind.AUDIO, Kind.DOCUMENT, Kind.STICKER})
"""What comes as a file."""

_INTEGER_MAX = 2**53
"""Above it JavaScript's numbers are not exact; nothing that Evolution counts comes near."""

_DIGITS_MAX = 16

_SECONDS_MAX = 100_000_000_000
"""The year 5138: a larger time is not in seconds, and is as good as none."""

ID_MAX_CHARS = 256
"""The longest id of a user or a message; real ones are shorter than 100."""


def object_of(value: Any) -> dict[str, Any]:
    """``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text_of(value: Any) -> str:
    """A text as it is, a number as its digits; anything else is no text."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return str(value) if math.isfinite(value) else ""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    return ""


def first_text(*values: Any) -> str:
    """The first of ``values`` that holds more than white space; its text is not trimmed."""
    for value in values:
        text = text_of(value)
        if text and not text.isspace():
            return text
    return ""


def lines(*values: Any) -> str:
    """Each of ``values`` that holds more than white space, on a line of its own."""
    return "\n".join(text for text in map(text_of, values) if text and not text.isspace())


def point(place: Mapping[str, Any], latitude: str, longitude: str) -> str:
    """``latitude,longitude`` of a place that has its two under these names; else empty."""
    numbers = [text_of(place.get(name)).strip() for name in (latitude, longitude)]
    return ",".join(numbers) if all(numbers) else ""


def is_true(value: Any) -> bool:
    """An echo that is taken for a user's message makes a bot answer itself: be generous."""
    return value is True or text_of(value).strip().lower() in ("true", "1")


def seconds_in_ms(seconds: float | None) -> int | None:
    """A point in time in seconds, with or without a fraction, in ms; None: it is none."""
    return int(seconds * 1000) if seconds is not None and 0 < seconds < _SECONDS_MAX else None


def identifier_of(value: Any) -> str:
    """
    A user's or a message's id: a text or a number, without white space around it.

    Empty where there is none, it is too long to be one, or holds control characters.
    """
    text = text_of(value).strip()
    if not text or len(text) > ID_MAX_CHARS:
        return ""
    if text.isascii() and text.isprintable():
        return text
    return "" if any(unicodedata.category(char) in ("Cc", "Cs") for char in text) else text


def web_url(value: Any) -> str | None:
    """An http or https address with a host; anything else (``data:``, a path) is none."""
    url = text_of(value).strip()
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and host else None


def integer_of(value: Any) -> int | None:
    """A whole number between 0 and 2^53: given as a number, as digits, or as a Long object."""
    if isinstance(value, dict):
        value = _long_of(value)
    elif isinstance(value, float):
        value = int(value) if math.isfinite(value) else None
    elif isinstance(value, str):
        digits = value.strip()
        readable = digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX
        value = int(digits) if readable else None
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _INTEGER_MAX else None


def _long_of(value: dict[str, Any]) -> int | None:
    low, high = value.get("low"), value.get("high", 0)
    if type(low) is not int or type(high) is not int:
        return None
    if abs(low) >= 2**32 or abs(high) >= 2**32:
        return None
    return (high << 32) + (low & 0xFFFFFFFF)  # low is a signed half and may be negative


def base64_of(value: Any) -> str | None:
    """Bytes in any of Evolution's spellings, as base64 without a ``data:`` prefix."""
    if isinstance(value, str):
        if value.startswith("data:"):
            value = value.partition(",")[2]
        return value or None
    octets = value
    if isinstance(value, dict):
        octets = value.get("data") if value.get("type") == "Buffer" else _indexed(value)
    if not isinstance(octets, list) or not octets:
        return None
    try:
        return base64.b64encode(bytes(octets)).decode()
    except (TypeError, ValueError):
        return None


def _indexed(value: dict[str, Any]) -> list[Any] | None:
    octets = [value.get(str(index)) for index in range(len(value))]
    return None if None in octets else octets


def decoded_size(encoded: str) -> int:
    """How many bytes a base64 text stands for, without decoding it."""
    return len(encoded) * 3 // 4 - encoded[-2:].count("=")


def hashed_id(item: Any) -> str:
    """An id for what came without one: the same when the same JSON comes again."""
    written = orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
    return "hash:" + hashlib.blake2b(written, digest_size=16).hexdigest()
