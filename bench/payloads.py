"""
What users write in the benches: an Evolution webhook of a short text, as WhatsApp sends it.

The envelope has the fields and about the size of a real one (1,100 bytes); ids and numbers are
made up. The instance has a secret, so that verification is part of what is measured.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace
from multidict import CIMultiDict, MultiDict

from shared.model import Message
from shared.providers import ParseOptions, Recipient, WebhookRequest
from shared.providers.evolution import Evolution
from shared.settings import Settings

INSTANCE = "front-desk"
SECRET = "bench-secret"
TEXT = "hi, are you open on friday? I would like to come by around four"

HEADERS = {"Content-Type": "application/json", "apikey": SECRET}
PATH = f"/webhooks/evolution/{INSTANCE}"

USER_MARK = "@USER@"
MESSAGE_MARK = "@MESSAGE@"

INSTANCES_SETTING = json.dumps({INSTANCE: {"provider": "evolution", "secret": [SECRET]}})
"""``INTURN_INSTANCES`` of a service that takes these webhooks."""


@dataclass(frozen=True, slots=True)
class WebhookTemplate:
    """A webhook's text in three parts, between which user and message id are written."""

    before_user: str
    before_message: str
    rest: str

    def marked(self) -> str:
        """The whole text with marks in the places of user and message id."""
        parts = (self.before_user, USER_MARK, self.before_message, MESSAGE_MARK, self.rest)
        return "".join(parts)

    def body(self, user: int, message: int) -> bytes:
        """The webhook of one message."""
        parts = (self.before_user, user_digits(user), self.before_message, message_digits(message))
        return "".join((*parts, self.rest)).encode()


def user_digits(user: int) -> str:
    """A user's phone number."""
    return f"551198{user:07d}"


def message_digits(message: int) -> str:
    """A message id of WhatsApp's length."""
    return f"3EB0{message:016X}"


def webhook_template() -> WebhookTemplate:
    """Webhooks that were sent just now."""
    text = json.dumps(_webhook(USER_MARK, MESSAGE_MARK, sent_s=int(time.time())))
    before_user, _, after = text.partition(USER_MARK)
    before_message, _, rest = after.partition(MESSAGE_MARK)
    return WebhookTemplate(before_user, before_message, rest)


def message_maker() -> Message:
    """The message that ingest makes of such a webhook: a pattern for ``with_ids``."""
    defaults = Settings.model_fields
    options = ParseOptions(
        request=WebhookRequest(body=b"", headers=CIMultiDict(), query=MultiDict()),
        recipient_of=lambda *_named: Recipient(instance=INSTANCE),
        received_at=time.time_ns() // 1_000_000,
        max_age_ms=defaults["max_age_ms"].default,
        media_inline_bytes=defaults["media_inline_bytes"].default,
    )
    payload = json.loads(webhook_template().body(0, 0))
    (message,) = Evolution().parse(payload, options).messages
    return message


def with_ids(pattern: Message, instance: str, user: int, message: int) -> Message:
    """The ``message``-th message, of some user of some instance."""
    digits = user_digits(user)
    return replace(
        pattern,
        instance=instance,
        user=digits,
        message_id=message_digits(message),
        reply_to=f"{digits}@s.whatsapp.net",
    )


def _webhook(user: str, message: str, *, sent_s: int) -> dict[str, Any]:
    return {
        "event": "messages.upsert",
        "instance": INSTANCE,
        "data": {
            "key": {"remoteJid": f"{user}@s.whatsapp.net", "fromMe": False, "id": message},
            "pushName": "Ana Example",
            "status": "DELIVERY_ACK",
            "message": {
                "conversation": TEXT,
                "messageContextInfo": {
                    "deviceListMetadata": {
                        "senderKeyHash": "c2VuZGVyIGtleQ==",
                        "senderTimestamp": str(sent_s - 40_000),
                        "senderAccountType": "E2EE",
                        "receiverAccountType": "E2EE",
                        "recipientKeyHash": "cmVjaXBpZW50IGs=",
                        "recipientTimestamp": str(sent_s - 90_000),
                    },
                    "deviceListMetadataVersion": 2,
                    "messageSecret": "bWVzc2FnZSBzZWNyZXQgb2YgdGhpcnR5IHR3byBieXRlcw==",
                },
            },
            "messageType": "conversation",
            "messageTimestamp": sent_s,
            "instanceId": "5d6f1d8e-0000-4000-8000-000000000001",
            "source": "android",
        },
        "destination": f"https://inturn.example/webhooks/evolution/{INSTANCE}",
        "date_time": "2025-10-09T05:53:20.400Z",
        "sender": "5511000000009@s.whatsapp.net",
        "server_url": "https://evolution.example",
        "apikey": "0A0B0C0D-1111-4222-8333-444455556666",
    }
