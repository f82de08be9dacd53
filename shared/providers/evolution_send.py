"""
One text to a user through Evolution's ``POST /message/sendText/<instance>``.

Evolution answers 201 with the sent message's key. It hides its own troubles behind 400: a
WhatsApp connection that is down is "400 Connection Closed" up to 2.3.7, so that one is read.
"""

from __future__ import annotations

from urllib.parse import quote

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.providers import Address, SendRefused, SendResult, SendRetry
from shared.providers.calling import Answer, call, judge_status
from shared.providers.values import first_text, object_of

_CONNECTION_TROUBLE = (b"connection closed", b"connection lost", b"timed out")


async def send_text(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address, text: str
) -> SendResult:
    """
    Send; every failure is a result, whose error holds no number and no text.

    A full jid goes out as it is: Evolution rewrites bare Brazilian, Mexican and Argentine numbers.
    """
    if settings.base_url is None or settings.token is None:
        return SendRefused(error="the instance has no base_url and token")
    instance = quote(settings.instance_name or address.instance, safe="")
    return await call(
        session,
        settings.base_url,
        f"message/sendText/{instance}",
        judge=_judge,
        json={"number": address.reply_to or address.user, "text": text},
        headers={"apikey": settings.token.get_secret_value()},
    )


def _judge(answer: Answer) -> SendResult:
    if answer.status == 400 and any(sign in answer.body.lower() for sign in _CONNECTION_TROUBLE):
        return SendRetry(error=f"{answer.error}: its WhatsApp connection is down")
    key = object_of(object_of(answer.json).get("key"))
    return judge_status(answer, first_text(key.get("id")) or None)
