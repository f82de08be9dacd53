"""
One text through Twilio's Messages resource, and "typing" on WhatsApp.

Twilio takes most messages with 201 and finds out later what is wrong with them: what its status
callbacks then tell is not heard here. What it refuses at once has a code, which is named.
"""

from __future__ import annotations

import base64
import re
from urllib.parse import quote

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.providers import Address, SendRefused, SendResult
from shared.providers.calling import Answer, call, judge_status
from shared.providers.evidence import octets
from shared.providers.twilio_message import OUTSIDE_WINDOW, WHATSAPP
from shared.providers.values import identifier_of, integer_of, object_of

MESSAGES_URL = "https://api.twilio.com"
TYPING_URL = "https://messaging.twilio.com"

_SHORT_CODE_DIGITS = 6
"""The longest number of an SMS service, which has no ``+``."""

_SID = re.compile(r"(SM|MM)\w+", re.ASCII)

_REFUSALS = {
    20003: "the account_sid and the token do not belong together",
    20404: "there is no such account",
    20429: "too many requests",
    21211: "the recipient is no valid number",
    21212: "from is no valid number",
    21408: "the account may not send to this region",
    21606: "from is no number of this account that can send this",
    21608: "a trial account may write to verified numbers only",
    21610: "the recipient has unsubscribed (STOP)",
    21611: "from has too many messages waiting",
    21612: "from cannot reach this recipient",
    21614: "the recipient cannot receive texts",
    21617: "the text is longer than 1600 characters",
    21703: "the messaging service has no number that can send this",
    21705: "there is no such messaging service",
    63003: "the recipient cannot be reached on this channel",
    63007: "from is no sender of this channel",
    63015: "the recipient has not joined the sandbox",
    OUTSIDE_WINDOW: "outside the 24-hour window: only templates may be sent",
    63018: "the channel's rate limit is reached",
    63024: "the recipient is not valid",
    63038: "the account's limit of messages per day is reached",
}
"""Twilio's own codes, in words: https://www.twilio.com/docs/api/errors"""

_PASSING = frozenset({20429, 21611, 63018})


async def send_text(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address, text: str
) -> SendResult:
    """Send; every failure is a result, whose error holds no number and no text."""
    if settings.token is None or settings.account_sid is None:
        return SendRefused(error="the instance has no account_sid and token")
    to = address.reply_to or _address_of(address.user)
    form = {"To": to, "Body": text, **_sender(settings, to)}
    if len(form) == 2:
        return SendRefused(error="the instance has no from and no messaging_service_sid")
    account = quote(settings.account_sid, safe="")
    return await call(
        session,
        settings.base_url or MESSAGES_URL,
        f"2010-04-01/Accounts/{account}/Messages.json",
        judge=_judge,
        form=form,
        headers=_credentials(settings),
    )


async def show_typing(
    session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
) -> None:
    """Typing, and the message that it answers marked as read: one call does both."""
    sids = [_sid_of(each) for each in address.message_ids]
    last = next(filter(None, reversed(sids)), None)
    on_whatsapp = (address.reply_to or "").lower().startswith(WHATSAPP)
    if settings.token is None or settings.account_sid is None or last is None or not on_whatsapp:
        return
    await call(
        session,
        settings.base_url or TYPING_URL,
        "v2/Indicators/Typing.json",
        judge=_judge,
        form={"messageId": last, "channel": "whatsapp"},
        headers=_credentials(settings),
    )


def _address_of(user: str) -> str:
    """
    A user's address, where no message told it: of a text for who wrote through the API.

    Users of WhatsApp are known by their bare digits, as no others are that have so many.
    """
    on_whatsapp = user.isascii() and user.isdigit() and len(user) > _SHORT_CODE_DIGITS
    return f"{WHATSAPP}+{user}" if on_whatsapp else user


def _sender(settings: InstanceSettings, to: str) -> dict[str, str]:
    """From whom: the instance's number, in the channel that the user writes in; or a service."""
    sender = {}
    if settings.from_ is not None:
        channel, colon, _ = to.partition(":")
        bare = settings.from_.partition(":")[2] or settings.from_
        sender["From"] = f"{channel}:{bare}" if colon else bare
    if settings.messaging_service_sid is not None:
        sender["MessagingServiceSid"] = settings.messaging_service_sid
    return sender


def _credentials(settings: InstanceSettings) -> dict[str, str]:
    """The account's auth token, or an API key that is written as ``SK...:secret``."""
    token = settings.token.get_secret_value() if settings.token else ""
    is_key = token.startswith("SK") and ":" in token
    pair = token if is_key else f"{settings.account_sid}:{token}"
    return {"Authorization": f"Basic {base64.b64encode(octets(pair)).decode()}"}


def _sid_of(message_id: str) -> str | None:
    """The sid in a message's id; further files of a message carry it, too."""
    sid = message_id.partition(":")[0]
    return sid if _SID.fullmatch(sid) else None


def _judge(answer: Answer) -> SendResult:
    said = object_of(answer.json)
    code = integer_of(said.get("code"))
    refusal = "" if code is None else f"{_REFUSALS.get(code, 'see its error list')} ({code})"
    sent_id = identifier_of(said.get("sid")) or None
    return judge_status(answer, sent_id, refusal=refusal, passes=code in _PASSING)
