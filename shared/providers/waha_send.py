"""
Texts, read marks and "typing" through WAHA's API, whose key goes in ``X-Api-Key``.

What WAHA answers to a sent text is its engine's: the id stands in different places.
"""

from __future__ import annotations

from typing import Any

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.providers import Address, SendRefused, SendResult, SendRetry, Sent
from shared.providers.calling import Answer, call, judge_status
from shared.providers.values import object_of
from shared.providers.waha_address import key_of

_REFUSALS = {
    401: "token is not WAHA's API key",
    403: "token is not WAHA's API key",
    404: "there is no such session",
}


async def send_text(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address, text: str
) -> SendResult:
    """Send with ``sendText``; every failure is a result."""
    return await ask(session, settings, address, "sendText", {"text": text})


async def ask(
    session: aiohttp.ClientSession,
    settings: InstanceSettings,
    address: Address,
    action: str,
    more: dict[str, Any] | None = None,
) -> SendResult:
    """POST ``/api/<action>`` for the address's chat."""
    if settings.base_url is None or settings.token is None:
        return SendRefused(error="the instance has no base_url and token")
    body = {"session": settings.session or address.instance, "chatId": _chat_of(address)}
    return await call(
        session,
        settings.base_url,
        f"api/{action}",
        judge=_judge,
        json=body | (more or {}),
        headers={"X-Api-Key": settings.token.get_secret_value()},
    )


def _chat_of(address: Address) -> str:
    where = address.reply_to or address.user.partition("/")[0]
    return where if "@" in where else f"{where}@c.us"


def _judge(answer: Answer) -> SendResult:
    if answer.status == 422 and b"session status" in answer.body.lower():
        return SendRetry(error=f"{answer.error}: its WhatsApp session is not working")
    refusal = _REFUSALS.get(answer.status, "")
    judged = judge_status(answer, None, refusal=refusal)
    return Sent(id=_sent_id(answer)) if isinstance(judged, Sent) else judged


def _sent_id(answer: Answer) -> str | None:
    """WhatsApp's own id: the chat's part of WAHA's differs between a text and its echo."""
    told = object_of(answer.json)
    data = object_of(told.get("_data"))
    places = (told.get("id"), object_of(told.get("key")).get("id"), data.get("id"))
    return next((key.raw for key in map(key_of, places) if key.raw), None)
