"""
Who sent a Twilio request: whoever has the account's auth token.

``X-Twilio-Signature`` is HMAC-SHA1, in base64, over the URL as Twilio was told it, and behind it
each field of the form, name and value, sorted. JSON is not in it: the URL then has the body's
hash. Only the public URL that was configured counts, never what the request says of itself.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence

from shared.providers import WebhookRequest
from shared.providers.evidence import digests, is_one_of, octets, only_value
from shared.providers.twilio_form import form_fields, is_json

_ADDRESS = re.compile(r"(https?)://([^/?#]*)(.*)", re.DOTALL | re.IGNORECASE)
_PORT = re.compile(r":\d*$", re.ASCII)
_DEFAULT_PORTS = {"https": "443", "http": "80"}


def is_signed(request: WebhookRequest, secrets: Sequence[str]) -> bool:
    """Whether one of ``secrets`` made the signature. Without a public URL none can be checked."""
    signature = only_value(request.headers, "x-twilio-signature")
    signed = _signed_fields(request)
    if signature is None or signed is None or request.url is None:
        return False
    made = [
        base64.b64encode(digest)
        for url in _spellings(request.url)
        for digest in digests(secrets, octets(url) + signed, "sha1")
    ]
    return is_one_of([signature], made)


def _signed_fields(request: WebhookRequest) -> bytes | None:
    """What is signed behind the URL; None: the body is not vouched for."""
    if request.method == "GET":
        return b""
    if is_json(request):
        digest = hashlib.sha256(request.body).hexdigest()
        return b"" if only_value(request.query, "bodySHA256") == digest else None
    fields = form_fields(request.body)
    if fields is None:
        return None
    # A field that comes twice with the same value is signed once.
    return b"".join(name + value for name, value in sorted(set(fields)))


def _spellings(url: str) -> list[str]:
    """With and without port: Twilio signs either, whichever it was told."""
    match = _ADDRESS.fullmatch(url)
    if match is None:
        return [url]
    scheme, host, rest = match.groups()
    bare = _PORT.sub("", host)
    with_port = host if bare != host else f"{host}:{_DEFAULT_PORTS[scheme.lower()]}"
    return [f"{scheme}://{name}{rest}" for name in (bare, with_port)]
