"""
WAHA's webhooks, built from its rules: an envelope around one message or another event.

And the shortest ways to what the provider makes of them: ``parse``, ``only_message``.
"""

from __future__ import annotations

from typing import Any

from shared.model import Message
from shared.providers import Parsed
from shared.providers.waha import Waha
from tests.support.parsing import parse_with, recipient

SENT_S = 1_760_000_000
RECEIVED_AT = SENT_S * 1000 + 700
SESSION = "reception"
PHONE = "351910000001"
CHAT = f"{PHONE}@c.us"
LID = "70605040302010@lid"
OWN_PHONE = "351910000009"
GROUP = "120363000000000042@g.us"
RAW_ID = "3EB0FEED00000001"


def whole_id(chat: str = CHAT, raw: str = RAW_ID, *, own: bool = False, author: str = "") -> str:
    """A message id of WAHA's."""
    return f"{str(own).lower()}_{chat}_{raw}" + (f"_{author}" if author else "")


def payload(chat: str = CHAT, /, **changes: Any) -> dict[str, Any]:
    """What others wrote in a direct chat, without content; a None removes a field."""
    fields: dict[str, Any] = {
        "id": whole_id(chat),
        "timestamp": SENT_S,
        "from": chat,
        "fromMe": False,
        "source": "app",
        "to": f"{OWN_PHONE}@c.us",
        "hasMedia": False,
        "ack": 2,
        "ackName": "DEVICE",
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


def own_payload(chat: str = CHAT, /, **changes: Any) -> dict[str, Any]:
    """What the account wrote itself, as WEBJS tells it."""
    fields = {"id": whole_id(chat, own=True), "fromMe": True, "to": chat, "body": "with you soon"}
    return payload(chat, **({"from": f"{OWN_PHONE}@c.us"} | fields | changes))


def event(of: Any, name: str = "message", **changes: Any) -> dict[str, Any]:
    """The envelope."""
    fields: dict[str, Any] = {
        "id": "evt_01hzzzzzzzzzzzzzzzzzzzzzzz",
        "timestamp": SENT_S * 1000 + 500,
        "event": name,
        "session": SESSION,
        "me": {"id": f"{OWN_PHONE}@c.us", "pushName": "Reception"},
        "payload": of,
        "engine": "GOWS",
        "environment": {"version": "2026.1.3", "engine": "GOWS", "tier": "CORE"},
    }
    return fields | changes


def text(said: Any = "hi", **changes: Any) -> dict[str, Any]:
    """An event with a plain text."""
    return event(payload(**({"body": said} | changes)))


def gows(message: dict[str, Any], **info: Any) -> dict[str, Any]:
    """``_data`` as GOWS has it."""
    return {"Info": {"PushName": "Inês", "Chat": CHAT, **info}, "Message": message}


def noweb(message: dict[str, Any], **key: Any) -> dict[str, Any]:
    """``_data`` as NOWEB has it."""
    told = {"remoteJid": f"{PHONE}@s.whatsapp.net", "id": RAW_ID, **key}
    return {"key": told, "message": message, "pushName": "Inês"}


def media(mime: str = "image/jpeg", **changes: Any) -> dict[str, Any]:
    """``media`` of a file that WAHA has fetched; a None removes a field."""
    name = mime.partition("/")[2]
    fields = {
        "url": f"http://waha.example:3000/api/files/{SESSION}/{RAW_ID}.{name}",
        "mimetype": mime,
        "filename": None,
        "error": None,
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


def parse(
    of: Any, *, inline_bytes: int = 262_144, groups: bool = False, store_raw: bool = False
) -> Parsed:
    """What the provider makes of an event."""
    return parse_with(
        Waha(),
        of,
        received_at=RECEIVED_AT,
        recipient_of=recipient(groups=groups, store_raw=store_raw),
        media_inline_bytes=inline_bytes,
    )


def only_message(of: Any, **changes: Any) -> Message:
    """The one message of an event that ignores nothing."""
    parsed = parse(of, **changes)
    assert (parsed.ignored, parsed.echoes) == ({}, ())
    (found,) = parsed.messages
    return found
