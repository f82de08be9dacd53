"""
Twilio's webhooks, built from its rules: the fields of a form, of WhatsApp or SMS.

And the shortest ways to what the provider makes of them: ``parse``, ``only_message``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from shared.model import Message
from shared.providers import Parsed
from shared.providers.twilio import Twilio
from tests.support.parsing import parse_with, recipient

RECEIVED_AT = 1_760_000_000_900
ACCOUNT_SID = "AC0123456789abcdef0123456789abcdef"
SERVICE_SID = "MG0123456789abcdef0123456789abcdef"
OWN_NUMBER = "whatsapp:+4930555000001"
PHONE = "4915550001234"
MEDIA = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT_SID}/Messages"
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}


def sid(number: int = 1) -> str:
    """A message's sid."""
    return f"SM{number:032x}"


def whatsapp(body: str | None = "hi", number: int = 1, **changes: Any) -> dict[str, str]:
    """A WhatsApp message's fields; a change to None removes one, and so does no body."""
    fields: dict[str, Any] = {
        "SmsMessageSid": sid(number),
        "NumMedia": "0",
        "ProfileName": "Ana",
        "MessageType": "text",
        "SmsSid": sid(number),
        "WaId": PHONE,
        "SmsStatus": "received",
        "Body": body,
        "To": OWN_NUMBER,
        "NumSegments": "1",
        "ReferralNumMedia": "0",
        "MessageSid": sid(number),
        "AccountSid": ACCOUNT_SID,
        "From": f"whatsapp:+{PHONE}",
        "ApiVersion": "2010-04-01",
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


def sms(body: str | None = "hi", number: int = 1, **changes: Any) -> dict[str, str]:
    """A text message's fields."""
    own = {
        "To": OWN_NUMBER.partition(":")[2],
        "From": f"+{PHONE}",
        "ToCountry": "DE",
        "FromCountry": "DE",
        "FromZip": "",
        "ProfileName": None,
        "WaId": None,
        "MessageType": None,
        "ReferralNumMedia": None,
    }
    return whatsapp(body, number, **(own | changes))


def files(*mimes: str, number: int = 1) -> dict[str, Any]:
    """The fields that tell of a message's files."""
    fields: dict[str, Any] = {"NumMedia": str(len(mimes))}
    for index, mime in enumerate(mimes):
        fields[f"MediaUrl{index}"] = file_url(index, number)
        fields[f"MediaContentType{index}"] = mime
    return fields


def file_url(index: int = 0, number: int = 1) -> str:
    """Where a file can be fetched."""
    return f"{MEDIA}/{sid(number)}/Media/ME{index:032x}"


def form(fields: Mapping[str, str]) -> bytes:
    """The fields as a body."""
    return urlencode(fields).encode()


def signature(token: str, url: str, body: bytes = b"") -> str:
    """What Twilio signs a form with: the URL, then each field once, by name and value."""
    text = body.decode("utf-8", "surrogateescape")
    fields = parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
    behind = "".join(name + value for name, value in sorted(set(fields)))
    signed = url.encode() + behind.encode("utf-8", "surrogateescape")
    return base64.b64encode(hmac.digest(token.encode(), signed, hashlib.sha1)).decode()


def parse(payload: Any, **changes: Any) -> Parsed:
    """What the provider makes of the fields under the default settings and ``changes``."""
    whose = recipient(store_raw=changes.pop("store_raw", False))
    fields: dict[str, Any] = {"recipient_of": whose, "received_at": RECEIVED_AT}
    return parse_with(Twilio(), payload, **(fields | changes))


def only_message(payload: Any, **changes: Any) -> Message:
    """The one message of a request."""
    parsed = parse(payload, **changes)
    assert parsed.ignored == {}
    (message,) = parsed.messages
    return message
