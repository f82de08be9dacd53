"""
Chatwoot's webhooks, built from its rules: a message at the top, its conversation under it.

And the shortest ways to what the provider makes of them: ``parse``, ``only_message``.
"""

from __future__ import annotations

from typing import Any

from shared.model import Message
from shared.providers import Parsed
from shared.providers.chatwoot import Chatwoot
from tests.support.parsing import parse_with, recipient

SENT_S = 1_760_000_000
"""When every message here was sent: 2025-10-09T08:53:20Z."""

RECEIVED_AT = SENT_S * 1000 + 900
ACCOUNT_ID = 7
INBOX_ID = 41
CONVERSATION_ID = 31
CONTACT_ID = 5501
PHONE = "4915550001234"
PUBSUB_TOKEN = "invented-pubsub-token"
FILES = "https://help.example.org/rails/active_storage/blobs/redirect"


def contact(**changes: Any) -> dict[str, Any]:
    """The person who writes."""
    fields: dict[str, Any] = {
        "additional_attributes": {},
        "custom_attributes": {},
        "email": None,
        "id": CONTACT_ID,
        "identifier": None,
        "name": "Ana",
        "phone_number": f"+{PHONE}",
        "thumbnail": "",
        "blocked": False,
    }
    return fields | changes


def agent(**changes: Any) -> dict[str, Any]:
    """Somebody who answers in Chatwoot."""
    return {"id": 12, "name": "Ben", "email": "ben@example.org", "type": "user"} | changes


def conversation(**changes: Any) -> dict[str, Any]:
    """The conversation, with the bot; without its messages."""
    fields: dict[str, Any] = {
        "additional_attributes": {},
        "can_reply": True,
        "channel": "Channel::Whatsapp",
        "contact_inbox": {
            "id": 900,
            "contact_id": CONTACT_ID,
            "inbox_id": INBOX_ID,
            "source_id": PHONE,
            "hmac_verified": False,
            "pubsub_token": PUBSUB_TOKEN,
        },
        "id": CONVERSATION_ID,
        "inbox_id": INBOX_ID,
        "messages": [],
        "meta": {"sender": contact(type="contact"), "assignee": None, "hmac_verified": False},
        "status": "pending",
        "unread_count": 1,
        "created_at": SENT_S - 60,
    }
    return fields | changes


def source(source_id: Any, **changes: Any) -> dict[str, Any]:
    """A conversation whose contact has this id at the channel."""
    return conversation(contact_inbox={"contact_id": CONTACT_ID, "source_id": source_id}, **changes)


def incoming(content: Any = "hi", number: int = 1001, **changes: Any) -> dict[str, Any]:
    """A contact's message; ``number`` is its id. A change to ``...`` removes the field."""
    fields: dict[str, Any] = {
        "account": {"id": ACCOUNT_ID, "name": "Corner Café"},
        "additional_attributes": {},
        "content_attributes": {},
        "content_type": "text",
        "content": content,
        "conversation": conversation(),
        "created_at": "2025-10-09T08:53:20.250Z",
        "id": number,
        "inbox": {"id": INBOX_ID, "name": "Front desk"},
        "message_type": "incoming",
        "private": False,
        "sender": contact(),
        "source_id": f"wamid.INVENTED{number}",
        "event": "message_created",
    }
    return {name: value for name, value in (fields | changes).items() if value is not ...}


def outgoing(content: Any = "hello", number: int = 2001, **changes: Any) -> dict[str, Any]:
    """An agent's message."""
    fields = {"message_type": "outgoing", "sender": agent(), "source_id": None}
    return incoming(content, number, **(fields | changes))


def attachment(file_type: str, name: str | None = None, **changes: Any) -> dict[str, Any]:
    """A file of a message, as ``name`` in Chatwoot's storage."""
    fields: dict[str, Any] = {"id": 70, "message_id": 1001, "file_type": file_type}
    if name is not None:
        fields |= {"extension": None, "data_url": f"{FILES}/{name}", "file_size": 6144}
    return fields | changes


def repeated(**changes: Any) -> dict[str, Any]:
    """The message as it stands once more among the conversation's."""
    fields: dict[str, Any] = {
        "id": 1001,
        "content": "hi",
        "account_id": ACCOUNT_ID,
        "inbox_id": INBOX_ID,
        "conversation_id": CONVERSATION_ID,
        "message_type": 0,
        "created_at": SENT_S,
        "private": False,
        "source_id": "wamid.INVENTED1001",
        "content_type": "text",
        "content_attributes": {},
        "sender_type": "Contact",
        "sender_id": CONTACT_ID,
        "conversation": {"contact_inbox": {"source_id": PHONE}},
        "sender": contact(type="contact"),
    }
    return {name: value for name, value in (fields | changes).items() if value is not ...}


def parse(payload: Any, **changes: Any) -> Parsed:
    """What the provider makes of ``payload`` under the default settings and ``changes``."""
    whose = {name: changes.pop(name) for name in ("store_raw", "groups") if name in changes}
    fields: dict[str, Any] = {"recipient_of": recipient(**whose), "received_at": RECEIVED_AT}
    return parse_with(Chatwoot(), payload, **(fields | changes))


def only_message(payload: Any, **changes: Any) -> Message:
    """The one message of an event."""
    parsed = parse(payload, **changes)
    assert parsed.ignored == {}
    (message,) = parsed.messages
    return message
