"""What an answer's object held besides its reply: kept with the reply, within bounds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

METADATA_MAX_BYTES = 16 * 1024
"""As JSON. A field that does not fit any more is left out; those behind it may fit."""

DEPTH_MAX = 32
"""Every reader on the way, and every language's, reads so deep."""


def bounded_metadata(fields: Mapping[str, Any]) -> dict[str, Any]:
    """
    The fields that fit, as plain JSON values; what JSON or UTF-8 cannot hold is left out.

    Never raises.
    """
    kept: dict[str, Any] = {}
    left_bytes = METADATA_MAX_BYTES
    for name, value in fields.items():
        if not _is_shallow(value, DEPTH_MAX):
            continue
        try:
            written = json.dumps({name: value}, ensure_ascii=False, separators=(",", ":"))
            read = orjson.loads(without_surrogates(written))
        except (TypeError, ValueError, RecursionError):
            continue
        size = len(orjson.dumps(read))
        if size <= left_bytes:
            left_bytes -= size
            kept |= read
    return kept


def without_surrogates(text: str) -> str:
    """Halves of surrogate pairs, which UTF-8 cannot hold, joined, or replaced where alone."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_shallow(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list | tuple):
        return True
    items = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_shallow(item, depth - 1) for item in items)
