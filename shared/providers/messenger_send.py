"""
Texts, "typing" and read marks through ``POST /<page id>/messages``, or ``/me/messages``.

``me`` is the page or the Instagram account that the token is for.
"""

from __future__ import annotations

from typing import Any

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.providers import Address, SendResult
from shared.providers.messenger_message import INSTAGRAM
from shared.providers.meta_send import is_instagrams, post_message


async def send_text(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address, text: str
) -> SendResult:
    """Send; every failure is a result, whose error holds no id and no text."""
    body = {
        "recipient": _recipient(address),
        "messaging_type": "RESPONSE",
        "message": {"text": text},
    }
    return await _post(session, settings, body)


async def mark_seen_and_typing(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
) -> None:
    """Two calls, of which the first is made once for the messages that are answered."""
    if not address.typing_shown:
        await _act(session, settings, address, "mark_seen")
    await _act(session, settings, address, "typing_on")


async def stop_typing(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
) -> None:
    """No text follows."""
    await _act(session, settings, address, "typing_off")


async def _act(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address, action: str
) -> None:
    body = {"recipient": _recipient(address), "sender_action": action}
    await _post(session, settings, body)


async def _post(
    session: aiohttp.ClientSession, settings: InstanceSettings, body: dict[str, Any]
) -> SendResult:
    node = "me" if is_instagrams(settings) else settings.page_id or "me"
    return await post_message(
        session, settings, node, body, lambda answer: answer.get("message_id")
    )


def _recipient(address: Address) -> dict[str, str]:
    return {"id": (address.reply_to or address.user).removeprefix(INSTAGRAM)}
