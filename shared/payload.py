"""
JSON from outside, within bounds: how deep it may nest, how many values it may hold.

Who sends may have proven nothing yet, and values cost more than their bytes.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from shared.errors import RequestRefused

JSON_DEPTH_MAX = 64
"""Real payloads nest about 20 deep. Encoders and walkers in Python give up at some hundreds."""

JSON_VALUES_MAX = 1_000_000
"""Lists of empty lists take 50 times their bytes in memory; real payloads hold some thousands."""

_HALVES = re.compile(
    rb"\\(?:(\\|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
"""Half a surrogate pair; an escaped backslash and a whole pair are matched to be passed over."""


def load_json(body: bytes) -> Any:
    """
    The JSON value in ``body``, with U+FFFD for half a surrogate pair in a text.

    JavaScript writes such a half of an emoji that it cut through: no text is lost for it.

    Raises:
        orjson.JSONDecodeError: it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "surrogate" not in error.msg or body.count(rb"\u") > JSON_VALUES_MAX:
            raise
    return orjson.loads(_HALVES.sub(lambda each: each[0] if each[1] else rb"\ufffd", body))


def parse_json(body: bytes) -> Any:
    """
    The JSON value in a webhook's ``body``, read as by ``load_json``.

    Raises:
        RequestRefused: 400, it is none, nests too deep or holds too many values.
    """
    containers = count_containers(body)
    # Each value takes a byte at least.
    if len(body) > JSON_VALUES_MAX and containers + body.count(b",") > JSON_VALUES_MAX:
        raise RequestRefused(400, "json_too_large", "the body holds too many JSON values")
    try:
        value = load_json(body)
    except orjson.JSONDecodeError as error:
        # orjson has a limit of 1024 levels of its own.
        if "depth limit" in error.msg:
            raise _too_deep() from error
        raise RequestRefused(400, "invalid_json", f"the body is not JSON: {error.msg}") from error
    # So few containers cannot nest deeper, which spares the walk for nearly every message.
    if containers > JSON_DEPTH_MAX and not _is_shallow(value):
        raise _too_deep()
    return value


def count_containers(body: bytes) -> int:
    """Objects and arrays in ``body``, or more: it nests no deeper."""
    objects = body.count(b"{")
    return objects if body.find(b"[") < 0 else objects + body.count(b"[")


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(JSON_DEPTH_MAX):
        level = [child for parent in level for child in _containers_in(parent)]
        if not level:
            return True
    return False


def _containers_in(parent: Any) -> list[Any]:
    if isinstance(parent, dict):
        return [child for child in parent.values() if isinstance(child, dict | list)]
    if isinstance(parent, list):
        return [child for child in parent if isinstance(child, dict | list)]
    return []


def _too_deep() -> RequestRefused:
    return RequestRefused(400, "json_too_deep", f"the body nests deeper than {JSON_DEPTH_MAX}")
