"""
Texts and read marks through ``POST /<phone number id>/messages``.

A number is addressed as ``to``, a user without one as ``recipient`` (since mid-2026), a group as
``to`` with its own ``recipient_type``.
"""

from __future__ import annotations

from typing import Any

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.providers import Address, SendRefused, SendResult
from shared.providers.meta_send import post_message
from shared.providers.values import object_of
from shared.providers.whatsapp_message import phone_of

_INVENTED = "item:"


async def send_text(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address, text: str
) -> SendResult:
    """Send; every failure is a result, whose error holds no number and no text."""
    body = {
        "messaging_product": "whatsapp",
        **_whom(address),
        "type": "text",
        "text": {"body": text},
    }
    return await _post(session, settings, body)


async def mark_read_and_typing(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
) -> None:
    """
    Both by the id of a message; with the last one, those before it are read as well.

    An id of our own making is none that WhatsApp knows.
    """
    given = [each for each in address.message_ids if not each.startswith(_INVENTED)]
    if given:
        body = {
            "messaging_product": "whatsapp",
            "status": "read",
            "message_id": given[-1],
            "typing_indicator": {"type": "text"},
        }
        await _post(session, settings, body)


async def _post(
    session: aiohttp.ClientSession, settings: InstanceSettings, body: dict[str, Any]
) -> SendResult:
    if settings.phone_number_id is None:
        return SendRefused(error="the instance has no phone_number_id")
    return await post_message(session, settings, settings.phone_number_id, body, _sent_id)


def _whom(address: Address) -> dict[str, str]:
    whom = address.reply_to or address.user
    if address.user.startswith(f"{whom}/"):
        return {"recipient_type": "group", "to": whom}
    name = "to" if phone_of(whom) else "recipient"
    return {"recipient_type": "individual", name: whom}


def _sent_id(answer: dict[str, Any]) -> Any:
    messages = answer.get("messages")
    return object_of(messages[0]).get("id") if isinstance(messages, list) and messages else None
