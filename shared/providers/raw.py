"""What of a provider's payload may be stored as ``raw``: no secrets, no large bytes."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from shared.providers.values import base64_of, decoded_size

_DEEP = 64
_SECRET = re.compile(
    r"token|secret|passw|passphrase|api[-_ ]?key|access[-_ ]?key|private[-_ ]?key|authorization"
    r"|credential|cookie|hmac|jwt",
    re.IGNORECASE,
)
"""
What names hold, under which providers put what somebody could act with: ``apikey``,
``page_access_token``, ``imap_password``. Too much is cut out rather than too little.
"""


def storable(
    value: Any, inline_bytes: int, bytes_fields: Collection[str] = (), deep: int = 0
) -> Any:
    """
    A copy for ``raw``: without secrets, and in ``bytes_fields`` nothing above ``inline_bytes``.

    Cut at a depth that Redis's JSON survives (orjson writes 254 levels); messages need a dozen.
    """
    if deep > _DEEP:
        return None
    if isinstance(value, list):
        return [storable(member, inline_bytes, bytes_fields, deep + 1) for member in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, member in value.items():
        if _SECRET.search(name):
            continue
        if name in bytes_fields:
            data = base64_of(member)
            kept[name] = data if data and decoded_size(data) <= inline_bytes else None
        else:
            kept[name] = storable(member, inline_bytes, bytes_fields, deep + 1)
    return kept
