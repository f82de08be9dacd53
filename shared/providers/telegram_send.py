"""
Texts, "typing" and answered buttons through the Bot API.

Every answer is ``{"ok", "result" or "description", "error_code", "parameters"}``. The token is part
of the path. See https://core.telegram.org/bots/api#making-requests.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.providers import Address, SendRefused, SendResult, SendRetry, Sent
from shared.providers.calling import Answer, call, judge_status
from shared.providers.telegram_message import CALLBACK, id_of
from shared.providers.values import integer_of, object_of, text_of

API = "https://api.telegram.org"

_REFUSALS = {
    "bot was blocked by the user": "the user has blocked the bot",
    "user is deactivated": "the user's account is deleted",
    "can't initiate conversation": "the user has not started the bot",
    "bots can't send messages to bots": "the user is a bot",
    "bot was kicked": "the bot was removed from the group",
    "bot is not a member": "the bot is not in the group",
    "not enough rights": "the bot may not write in this group",
    "have no rights": "the bot may not write in this group",
    "upgraded to a supergroup": "the group has become a supergroup, with another id",
    "chat not found": "there is no such chat for this bot",
    "thread not found": "there is no such topic any more",
    "topic_closed": "the topic is closed",
    "message is too long": "the text is too long",
    "text is empty": "the text is empty",
    "unauthorized": "token is not a bot's token",
    "not found": "token is not a bot's token",
}
"""What a description holds, lower case, and what is said of it: never a name, never a text."""


async def send_text(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address, text: str
) -> SendResult:
    """Send with ``sendMessage``; every failure is a result."""
    return await _ask(session, settings, "sendMessage", _chat_of(address) | {"text": text})


async def send_typing(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
) -> None:
    """
    "Typing" with ``sendChatAction``, which Telegram shows for five seconds at most.

    Buttons that were pressed are answered first, once: they would look busy until then.
    """
    if not address.typing_shown:
        for message_id in address.message_ids:
            if message_id.startswith(CALLBACK):
                press = {"callback_query_id": message_id.removeprefix(CALLBACK)}
                await _ask(session, settings, "answerCallbackQuery", press)
    await _ask(session, settings, "sendChatAction", _chat_of(address) | {"action": "typing"})


def _chat_of(address: Address) -> dict[str, Any]:
    where = address.reply_to or address.user.partition("/")[0]
    chat, _, topic = where.partition(":")
    found: dict[str, Any] = {"chat_id": int(chat) if id_of(chat) else chat}
    return found | {"message_thread_id": int(topic)} if id_of(topic) else found


async def _ask(
    session: aiohttp.ClientSession, settings: InstanceSettings, method: str, body: dict[str, Any]
) -> SendResult:
    if settings.token is None or not settings.token.get_secret_value():
        return SendRefused(error="the instance has no token")
    token = quote(settings.token.get_secret_value(), safe=":")
    base_url = settings.base_url or API
    return await call(session, base_url, f"bot{token}/{method}", judge=_judge, json=body)


def _judge(answer: Answer) -> SendResult:
    told = object_of(answer.json)
    result = told.get("result")
    sent_id = id_of(result.get("message_id")) if isinstance(result, dict) else ""
    judged = judge_status(answer, sent_id or None, refusal=_reason(told))
    wait_s = integer_of(object_of(told.get("parameters")).get("retry_after"))
    if isinstance(judged, SendRetry) and wait_s is not None:
        return replace(judged, after_ms=wait_s * 1000)
    if isinstance(judged, Sent) and told.get("ok") is False:
        return SendRefused(error=f"{answer.error}, and that it was not sent: {_reason(told)}")
    return judged


def _reason(told: dict[str, Any]) -> str:
    description = text_of(told.get("description")).lower()
    return next((reason for sign, reason in _REFUSALS.items() if sign in description), "")
