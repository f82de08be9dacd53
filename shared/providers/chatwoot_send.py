"""
One text into a Chatwoot conversation, and "typing" there.

Chatwoot takes a message whether or not its channel will: one outside WhatsApp's 24 hours is
answered 200 and shown to the agents as failed.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.providers import Address, SendRefused, SendResult
from shared.providers.calling import Answer, call, judge_status
from shared.providers.values import identifier_of, object_of

_COURTESY_S = 2.0
"""A text does not wait longer for "typing" to be taken back."""

_REFUSALS = {
    401: "the token is not valid, or may not write in this account",
    403: "the token may not write in this conversation",
    404: "there is no such account or conversation, or the token may not see it",
    422: "Chatwoot takes no such message in this conversation",
}


async def send_text(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address, text: str
) -> SendResult:
    """
    Send; every failure is a result, whose error holds no text and nobody's name.

    "Typing" is taken back first, for Chatwoot shows it for its full time even beside the answer.
    Afterwards would be too late: a crash between the two would send the text twice.
    """
    if not (settings.base_url and settings.token and settings.account_id):
        return SendRefused(error="the instance has no base_url, token and account_id")
    if not address.reply_to:
        return SendRefused(error="the message came without its conversation")
    await hide_typing(session, settings, address)
    body = {"content": text, "message_type": "outgoing", "private": False}
    return await _post(session, settings, address, "messages", body)


async def show_typing(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
) -> None:
    """Type, and read once, where the token may: a bot's may not mark a conversation as seen."""
    await _be_courteous(session, settings, address, "toggle_typing_status", {"typing_status": "on"})
    if not address.typing_shown:
        await _be_courteous(session, settings, address, "update_last_seen", {})


async def hide_typing(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
) -> None:
    """Stop typing."""
    off = {"typing_status": "off"}
    await _be_courteous(session, settings, address, "toggle_typing_status", off)


async def _be_courteous(
    session: aiohttp.ClientSession,
    settings: InstanceSettings,
    address: Address,
    action: str,
    body: Any,
) -> None:
    if address.reply_to:
        with suppress(TimeoutError):
            async with asyncio.timeout(_COURTESY_S):
                await _post(session, settings, address, action, body)


async def _post(
    session: aiohttp.ClientSession,
    settings: InstanceSettings,
    address: Address,
    action: str,
    body: Any,
) -> SendResult:
    account = quote(settings.account_id or "", safe="")
    conversation = quote(address.reply_to or "", safe="")
    token = settings.token.get_secret_value() if settings.token else ""
    return await call(
        session,
        settings.base_url or "",
        f"api/v1/accounts/{account}/conversations/{conversation}/{action}",
        judge=_judge,
        json=body,
        headers={"api_access_token": token},
    )


def _judge(answer: Answer) -> SendResult:
    sent_id = identifier_of(object_of(answer.json).get("id"))
    return judge_status(answer, sent_id or None, refusal=_REFUSALS.get(answer.status, ""))
