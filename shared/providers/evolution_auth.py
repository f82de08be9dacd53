"""
Who sent an Evolution webhook: a shared secret, for Evolution signs no bodies.

An instance's webhook can carry static headers (``apikey``, or ``Authorization: Bearer``), or,
with a ``jwt_key``, a token that Evolution makes anew for each event: HS256 over ``iat``, ``exp``
(ten minutes on), ``app`` and ``action``. The claims' order differs between versions.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import orjson
from multidict import MultiMapping


def is_vouched_for(headers: MultiMapping[str], secrets: Sequence[str], now_s: float) -> bool:
    """
    Whether a header proves knowledge of one of ``secrets``.

    A header given twice proves nothing: another hop may have read the other one. Takes the same
    time for every wrong secret of a length, and never raises. An empty secret matches nothing.
    """
    keys = headers.getall("apikey", ())
    authorizations = headers.getall("authorization", ())
    if len(keys) > 1 or len(authorizations) > 1:
        return False
    offered = [_octets(key) for key in keys]
    bearer = _bearer(authorizations[0]) if authorizations else None
    if bearer is not None:
        offered.append(_octets(bearer))
    vouched = False
    for secret in map(_octets, filter(None, secrets)):
        for value in offered:
            vouched |= hmac.compare_digest(value, secret)
        if bearer is not None:
            vouched |= _is_valid_token(bearer, secret, now_s)
    return vouched


def _bearer(authorization: str) -> str | None:
    scheme, _, value = authorization.strip().partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # headers may hold bytes that are not UTF-8


def _is_valid_token(token: str, key: bytes, now_s: float) -> bool:
    signed, _, signature = token.rpartition(".")
    digest = hmac.new(key, _octets(signed), hashlib.sha256).digest()
    expected = base64.urlsafe_b64encode(digest).rstrip(b"=")
    if not hmac.compare_digest(_octets(signature), expected):
        return False
    header, _, claims = signed.partition(".")
    if _json_object(header).get("alg") != "HS256":
        return False
    expires_s = _json_object(claims).get("exp")
    if isinstance(expires_s, bool) or not isinstance(expires_s, int | float):
        return False
    return now_s < expires_s


def _json_object(part: str) -> dict[str, Any]:
    try:
        value = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return value if isinstance(value, dict) else {}
