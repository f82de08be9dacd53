"""
A text to a user through Evolution's ``POST /message/sendText/<instance>``, typing, read marks.

Evolution answers 201 with the sent message's key. It hides its own troubles behind 400: a
WhatsApp connection that is down is "400 Connection Closed" up to 2.3.7, so that one is read.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from urllib.parse import quote

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.providers import Address, SendRefused, SendResult, SendRetry
from shared.providers.calling import Answer, call, judge_status
from shared.providers.values import first_text, object_of

_CONNECTION_TROUBLE = (b"connection closed", b"connection lost", b"timed out")


TYPING_S = 10.0
TYPING_MS = 7_500
"""
Evolution shows "typing" for this long, then "paused", and answers only after that.

Shorter than what the sender waits until it says so again (0.8 x ``TYPING_S``), or the "paused" of
one call would end what the next one shows.
"""

_COURTESY_S = 3.0
"""A call that has got through works also when nobody waits for its answer."""


async def send_text(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address, text: str
) -> SendResult:
    """
    Send; every failure is a result, whose error holds no number and no text.

    A full jid goes out as it is: Evolution rewrites bare Brazilian, Mexican and Argentine numbers.
    """
    if settings.base_url is None or settings.token is None:
        return SendRefused(error="the instance has no base_url and token")
    said = {"number": address.reply_to or address.user, "text": text}
    return await _post(session, settings, address, "message/sendText", said)


async def set_presence(
    session: aiohttp.ClientSession,
    settings: InstanceSettings,
    address: Address,
    presence: str,
    delay_ms: int,
) -> None:
    """Show ``presence`` to the user for ``delay_ms``. A failure is nobody's business."""
    shown = {"number": address.reply_to or address.user, "presence": presence, "delay": delay_ms}
    await _post_briefly(session, settings, address, "chat/sendPresence", shown)


async def mark_read(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
) -> None:
    """
    Mark what is answered as read, in direct chats.

    In a group WhatsApp asks who wrote each message, which Evolution's call has no field for.
    """
    jid = address.reply_to
    if jid is None or jid.endswith("@g.us") or not address.message_ids:
        return
    read = [{"id": each, "remoteJid": jid, "fromMe": False} for each in address.message_ids]
    await _post_briefly(
        session, settings, address, "chat/markMessageAsRead", {"readMessages": read}
    )


async def _post_briefly(
    session: aiohttp.ClientSession,
    settings: InstanceSettings,
    address: Address,
    path: str,
    json: Any,
) -> None:
    if settings.base_url is None or settings.token is None:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_COURTESY_S):
            await _post(session, settings, address, path, json)


async def _post(
    session: aiohttp.ClientSession,
    settings: InstanceSettings,
    address: Address,
    path: str,
    json: Any,
) -> SendResult:
    assert settings.base_url is not None
    assert settings.token is not None
    instance = quote(settings.instance_name or address.instance, safe="")
    return await call(
        session,
        settings.base_url,
        f"{path}/{instance}",
        judge=_judge,
        json=json,
        headers={"apikey": settings.token.get_secret_value()},
    )


def _judge(answer: Answer) -> SendResult:
    if answer.status == 400 and any(sign in answer.body.lower() for sign in _CONNECTION_TROUBLE):
        return SendRetry(error=f"{answer.error}: its WhatsApp connection is down")
    key = object_of(object_of(answer.json).get("key"))
    return judge_status(answer, first_text(key.get("id")) or None)
