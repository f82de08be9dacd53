"""
Evolution's webhooks, built from its rules: an envelope, one message item, the common bodies.

And the shortest ways to what the provider makes of them: ``parse``, ``only_message``.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from shared.model import Message
from shared.providers import Parsed
from shared.providers.evolution import Evolution
from tests.support.parsing import account_itself, parse_with, recipient

SENT_S = 1_760_000_000
"""When every message here was sent, in seconds as Evolution gives it."""

RECEIVED_AT = SENT_S * 1000 + 400
"""When ingest received it, in ms."""

MAX_AGE_MS = 6 * 3600 * 1000
INSTANCE = "Front Desk"
PHONE = "5511987650001"
LID = "90807060504030"
MESSAGE_ID = "3EB0AAAABBBBCCCCDDDD01"
APIKEY = "planted-api-key"


def key(**changes: Any) -> dict[str, Any]:
    """A message key of a private chat with ``PHONE``; a None removes a field."""
    fields = {"remoteJid": f"{PHONE}@s.whatsapp.net", "fromMe": False, "id": MESSAGE_ID}
    return {name: value for name, value in (fields | changes).items() if value is not None}


def item(
    message: Any, message_type: str | None = None, of: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """``data`` of one upsert. ``of`` is its key; ``message_type`` None leaves it out."""
    fields: dict[str, Any] = {
        "key": key() if of is None else of,
        "pushName": "Ana",
        "status": "DELIVERY_ACK",
        "message": message,
        "messageTimestamp": SENT_S,
        "instanceId": "5d6f1d8e-0000-4000-8000-000000000001",
        "source": "android",
    }
    if message_type is not None:
        fields["messageType"] = message_type
    return fields | changes


def text_item(text: Any = "hi", **changes: Any) -> dict[str, Any]:
    """``data`` of a plain text."""
    return item({"conversation": text}, "conversation", **changes)


def webhook(data: Any, event: str = "messages.upsert", **changes: Any) -> dict[str, Any]:
    """The envelope around ``data``."""
    fields: dict[str, Any] = {
        "event": event,
        "instance": INSTANCE,
        "data": data,
        "destination": "https://inturn.example/webhooks/evolution",
        "date_time": "2025-10-09T05:53:20.400Z",
        "sender": "5511000000009@s.whatsapp.net",
        "server_url": "http://localhost:8080",
        "apikey": APIKEY,
    }
    return fields | changes


def image_message(encoded: Any = None, **changes: Any) -> dict[str, Any]:
    """``message`` of a photo of 6,000 bytes; ``encoded`` is what Evolution adds as base64."""
    image = {
        "url": "https://mmg.whatsapp.net/v/t62.7118-24/abc.enc?oh=1",
        "mimetype": "image/jpeg",
        "fileLength": "6000",
        "mediaKey": "a2V5",
        "jpegThumbnail": "dGh1bWI=",
    }
    message: dict[str, Any] = {"imageMessage": image | changes}
    if encoded is not None:
        message["base64"] = encoded
    return message


def context_info() -> dict[str, Any]:
    """What WhatsApp puts beside a message, here in its number and buffer spellings."""
    return {
        "deviceListMetadata": {
            "senderTimestamp": {"low": SENT_S, "high": 0, "unsigned": True},
            "recipientKeyHash": {"0": 7, "1": 250},
        },
        "deviceListMetadataVersion": 2,
    }


def parse(payload: Any, **changes: Any) -> Parsed:
    """What the provider makes of ``payload`` under the default settings and ``changes``."""
    named = account_itself(Evolution().account_of(payload)).instance
    whose = recipient(named, store_raw=changes.pop("store_raw", False))
    fields: dict[str, Any] = {"recipient_of": whose, "received_at": RECEIVED_AT}
    return parse_with(Evolution(), payload, **(fields | changes))


def only_message(data: Any, **changes: Any) -> Message:
    """The one message of an upsert that ignores nothing."""
    parsed = parse(webhook(data), **changes)
    assert parsed.ignored == Counter()
    (message,) = parsed.messages
    return message
