"""
Who sent a Standard Webhook or a CloudEvent.

Standard Webhooks sign ``<id>.<timestamp>.<body>``; a header holds several signatures while keys
rotate, of versions that may be unknown. CloudEvents define no signature: their senders show a
token, as ``Authorization: Bearer`` or ``?access_token=``. Where there is a signature, it decides.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Mapping, Sequence

from shared.handlers.signature import PREFIX
from shared.providers import WebhookRequest
from shared.providers.evidence import (
    digests,
    is_one_of,
    is_recent,
    octets,
    offered_secrets,
    only_value,
)
from shared.providers.standard_event import header_text

_NAMES = ("webhook", "svix")
"""What the headers' names begin with: the specification's, and those of its first author."""

_VERSION = "v1"


def is_vouched_for(request: WebhookRequest, secrets: Sequence[str], now_s: float) -> bool:
    """Whether one of ``secrets`` signed the request, or stands in one that has no signature."""
    name = _name_in(request.headers, "signature")
    if name is not None:
        return _is_signed(request, name, secrets, now_s)
    token = only_value(request.query, "access_token")
    return is_one_of([*offered_secrets(request), *([token] if token else [])], secrets)


def delivery_id(headers: Mapping[str, str]) -> str | None:
    """The webhook's own id, the same at each of its retries; of a signed one the signed one."""
    name = _name_in(headers, "signature") or _name_in(headers, "id")
    return (header_text(headers.get(f"{name}-id", "")) or None) if name else None


def _name_in(headers: Mapping[str, str], part: str) -> str | None:
    return next((name for name in _NAMES if f"{name}-{part}" in headers), None)


def _is_signed(request: WebhookRequest, name: str, secrets: Sequence[str], now_s: float) -> bool:
    sent_id = only_value(request.headers, f"{name}-id")
    stamp = only_value(request.headers, f"{name}-timestamp")
    given = only_value(request.headers, f"{name}-signature")
    if not sent_id or stamp is None or given is None or not is_recent(stamp, now_s):
        return False
    signed = octets(f"{sent_id}.{stamp}.") + request.body
    expected = [
        base64.b64encode(digest)
        for secret in secrets
        for digest in digests(_keys_of(secret), signed, "sha256")
    ]
    parts = [each.split(",") for each in given.split()]
    if any(len(part) != 2 for part in parts):
        return False
    return is_one_of([value for version, value in parts if version == _VERSION], expected)


def _keys_of(secret: str) -> list[bytes]:
    """
    What a secret may stand for: the base64 behind ``whsec_``; without it base64 or itself.

    The specification's libraries read every secret as base64; other senders use it as it is.
    """
    encoded = secret.removeprefix(PREFIX)
    keys = [] if secret.startswith(PREFIX) else [octets(secret)]
    with contextlib.suppress(binascii.Error):
        keys.append(base64.b64decode(octets(encoded + "=" * (-len(encoded) % 4)), validate=True))
    return [key for key in keys if key]
