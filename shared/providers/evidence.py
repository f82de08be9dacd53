"""
What a request offers as proof of who sent it, compared in constant time.

A header or parameter given twice proves nothing: another hop may have read the other one. Nothing
here raises, whatever bytes a stranger sends; an empty secret matches nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence

from multidict import MultiMapping

from shared.providers import WebhookRequest


def only_value(of: MultiMapping[str], name: str) -> str | None:
    """The value of a header or parameter that was given exactly once."""
    values = of.getall(name, ())
    return values[0] if len(values) == 1 else None


def bearer_of(request: WebhookRequest) -> str | None:
    """The token of ``Authorization: Bearer``."""
    scheme, _, token = (only_value(request.headers, "authorization") or "").strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def offered_secrets(request: WebhookRequest, *headers: str) -> list[str]:
    """What stands in ``Authorization: Bearer``, in ``headers`` and in ``?secret=``."""
    found = [bearer_of(request), *(only_value(request.headers, name) for name in headers)]
    return [value for value in (*found, only_value(request.query, "secret")) if value]


def is_one_of(offered: Iterable[str | bytes], secrets: Iterable[str | bytes]) -> bool:
    """
    Whether anything offered equals one of ``secrets``; as slow for every wrong value of a length.

    Secrets and signatures alike: for a signature ``secrets`` are what each secret would have made.
    """
    expected = [value for value in map(octets, secrets) if value]
    known = False
    for value in map(octets, offered):
        for secret in expected:
            known |= hmac.compare_digest(value, secret)
    return known


def is_recent(stamp: str | None, now_s: float, limit_s: int = 300) -> bool:
    """Whether a signed timestamp in seconds is at most ``limit_s`` old, or early."""
    if stamp is None or not (stamp.isascii() and stamp.isdigit()) or len(stamp) > 12:
        return False
    return abs(now_s - int(stamp)) <= limit_s


def octets(text: str | bytes) -> bytes:
    """The bytes of a header's text, also where they were not UTF-8."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def digests(secrets: Sequence[str | bytes], signed: bytes, algorithm: str) -> list[bytes]:
    """What each of ``secrets`` makes of ``signed`` (HMAC)."""
    return [hmac.digest(octets(secret), signed, algorithm) for secret in secrets if secret]
