"""
One text to a user, as an event for whoever runs the channel: neither specification has a reply.

The contract is ours, and docs/providers/standard.md has it: a Standard Webhook of type
``message.reply``, signed with ``token``. Its ``webhook-id`` is the same each time that one text is
tried, so a receiver that knows the id already has sent it.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import aiohttp
import orjson

from shared.handlers.signature import signature_headers, signing_key
from shared.instance_settings import InstanceSettings
from shared.providers import Address, SendRefused, SendResult
from shared.providers.calling import Answer, call, judge_status
from shared.providers.standard_event import REPLY
from shared.providers.values import first_text, object_of


async def send_text(
    session: aiohttp.ClientSession,
    settings: InstanceSettings,
    address: Address,
    text: str,
    now_s: float,
) -> SendResult:
    """Send; every failure is a result, whose error names no user and no text."""
    if settings.base_url is None or settings.token is None:
        return SendRefused(error="the instance has no base_url and token")
    try:
        key = signing_key(settings.token.get_secret_value())
    except ValueError:
        return SendRefused(error="what follows whsec_ in the token is not base64")
    webhook_id = address.text_id or f"t_{uuid.uuid4().hex}"
    body = _event(settings, address, text, webhook_id, now_s)
    signed = signature_headers(key, webhook_id, int(now_s), body)

    def judge(answer: Answer) -> SendResult:
        named = object_of(answer.json)
        own_id = first_text(named.get("message_id"), named.get("id"))
        return judge_status(answer, own_id or webhook_id)

    return await call(
        session,
        settings.base_url,
        "",
        judge=judge,
        body=body,
        headers={"content-type": "application/json", "webhook-id": webhook_id, **signed},
    )


def _event(
    settings: InstanceSettings, address: Address, text: str, webhook_id: str, now_s: float
) -> bytes:
    return orjson.dumps(
        {
            "type": REPLY,
            "timestamp": datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds"),
            "data": {
                "instance": settings.instance_name or address.instance,
                "user": address.user,
                "reply_to": address.reply_to,
                "text": text,
                "message_id": webhook_id,
                "answers": address.message_ids,
            },
        }
    )
