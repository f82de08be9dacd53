"""Webhooks of Meta, as its rules describe them: WhatsApp's changes, Messenger's and Instagram's."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

NUMBER_ID = "330011220044"
DISPLAY_NUMBER = "4930550001"
PHONE = "4917655501020"
BSUID = "DE.70440011223344556"
SENT_S = 1_789_000_000

PAGE_ID = "610000000000077"
INSTAGRAM_ID = "17840000000000099"
PSID = "820000000000055"
SENT_MS = 1_789_000_000_123


def signature(body: bytes, secret: str) -> str:
    """The value of ``X-Hub-Signature-256``."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def whatsapp_item(kind: str, content: Any, serial: int = 1, **members: Any) -> dict[str, Any]:
    """One of ``messages``; a member given as None is left out."""
    item = {
        "from": PHONE,
        "id": f"wamid.INVENTED{serial:06}==",
        "timestamp": str(SENT_S + serial),
        "type": kind,
        kind: content,
    }
    return {name: value for name, value in (item | members).items() if value is not None}


def whatsapp_text(body: str, serial: int = 1, **members: Any) -> dict[str, Any]:
    """A text."""
    return whatsapp_item("text", {"body": body}, serial, **members)


def contact(**members: Any) -> dict[str, Any]:
    """One of ``contacts``."""
    return {"profile": {"name": "Ida Beispiel"}, "wa_id": PHONE} | members


def whatsapp_value(*items: Any, number_id: str = NUMBER_ID, **members: Any) -> dict[str, Any]:
    """What a change says."""
    value: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": DISPLAY_NUMBER, "phone_number_id": number_id},
    }
    if items:
        value["contacts"] = [contact()]
        value["messages"] = list(items)
    return value | members


def whatsapp_change(value: Any, field: str = "messages") -> dict[str, Any]:
    """One of ``changes``."""
    return {"field": field, "value": value}


def whatsapp_webhook(*changes: Any) -> dict[str, Any]:
    """All changes in one entry."""
    entry = {"id": "440000000000088", "changes": list(changes)}
    return {"object": "whatsapp_business_account", "entry": [entry]}


def whatsapp(*items: Any, **members: Any) -> dict[str, Any]:
    """A webhook with these messages for ``NUMBER_ID``."""
    return whatsapp_webhook(whatsapp_change(whatsapp_value(*items, **members)))


def messaging_item(serial: int = 1, *, account: str = PAGE_ID, **members: Any) -> dict[str, Any]:
    """One of ``messaging``, from ``PSID``."""
    return {
        "sender": {"id": PSID},
        "recipient": {"id": account},
        "timestamp": SENT_MS + serial,
    } | members


def messenger_message(serial: int = 1, *, account: str = PAGE_ID, **members: Any) -> dict[str, Any]:
    """A message with ``members``."""
    message = {"mid": f"m_INVENTED{serial:06}"} | members
    return messaging_item(serial, account=account, message=message)


def messenger(*items: Any, account: str = PAGE_ID, kind: str = "page") -> dict[str, Any]:
    """A webhook with these items for one page, or one account of Instagram."""
    return {
        "object": kind,
        "entry": [{"id": account, "time": SENT_MS, "messaging": list(items)}],
    }


def instagram(*items: Any) -> dict[str, Any]:
    """The same for ``INSTAGRAM_ID``."""
    return messenger(*items, account=INSTAGRAM_ID, kind="instagram")
