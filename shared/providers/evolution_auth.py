"""
Who sent an Evolution webhook: a shared secret, for Evolution signs no bodies.

An instance's webhook can carry static headers (``apikey``, or ``Authorization: Bearer``). With a
``jwt_key`` among them Evolution makes a token anew for each event: HS256 over ``iat``, ``exp``
(ten minutes on), ``app`` and ``action``, whose order differs between versions. The webhook for all
instances carries no headers: its secret stands in its URL.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Collection, Sequence
from typing import Any

import orjson
from multidict import MultiMapping

from shared.providers import WebhookRequest
from shared.providers.evidence import bearer_of, octets, only_value


def is_vouched_for(
    request: WebhookRequest, secrets: Sequence[str], suffixes: Collection[str], now_s: float
) -> bool:
    """
    Whether the request shows one of ``secrets``, or a token signed with one.

    A header given twice proves nothing: another hop may have read the other one. Takes the same
    time for every wrong secret of a length, and never raises. An empty secret matches nothing.
    """
    keys = request.headers.getall("apikey", ())
    authorizations = request.headers.getall("authorization", ())
    if len(keys) > 1 or len(authorizations) > 1:
        return False
    offered = [octets(key) for key in keys]
    bearer = bearer_of(request) if authorizations else None
    if bearer is not None:
        offered.append(octets(bearer))
    if request.query:
        offered += map(octets, _shown_in(request.query, suffixes))
    vouched = False
    for secret in map(octets, filter(None, secrets)):
        for value in offered:
            vouched |= hmac.compare_digest(value, secret)
        if bearer is not None:
            vouched |= _is_valid_token(bearer, secret, now_s)
    return vouched


def _shown_in(query: MultiMapping[str], suffixes: Collection[str]) -> list[str]:
    """``?secret=``; ``byEvents`` appends the event to the whole URL, behind its query too."""
    shown = only_value(query, "secret") or ""
    before, _, event = shown.rpartition("/")
    return [shown, before] if event in suffixes else [shown]


def _is_valid_token(token: str, key: bytes, now_s: float) -> bool:
    signed, _, signature = token.rpartition(".")
    digest = hmac.new(key, octets(signed), hashlib.sha256).digest()
    expected = base64.urlsafe_b64encode(digest).rstrip(b"=")
    if not hmac.compare_digest(octets(signature), expected):
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
