"""
How a handler request is signed: Standard Webhooks, symmetric (``v1``).

The receiver computes the same over the bytes it got, compares in constant time, and refuses a
timestamp that is far from its own clock. https://www.standardwebhooks.com gives libraries.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"


def signing_key(secret: str) -> bytes:
    """
    The key that a secret stands for: the decoded base64 after ``whsec_``, else its UTF-8 bytes.

    The specification's libraries read every secret as base64; for them write it with ``whsec_``.

    Raises:
        ValueError: what follows ``whsec_`` is no base64, or there is no key.
    """
    if not secret.startswith(PREFIX):
        key = secret.encode()
    else:
        try:
            key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error as error:
            raise ValueError(f"what follows {PREFIX} is not base64") from error
    if not key:
        raise ValueError("the secret is empty")
    return key


def signature_headers(key: bytes, webhook_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The two headers that vouch for ``body`` under ``webhook_id``."""
    signed = f"{webhook_id}.{timestamp_s}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return {
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }
