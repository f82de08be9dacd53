"""
Calls of Meta's Graph API, and what its errors mean.

A failure's HTTP status says little (403 may be a closed window, 400 a rate limit), so its ``code``
and ``error_subcode`` are read. Its ``message`` is never told on: it may name the user.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.providers import SendRefused, SendResult
from shared.providers.calling import Answer, call, judge_status
from shared.providers.values import first_text, integer_of, object_of

GRAPH = "https://graph.facebook.com/v23.0"
INSTAGRAM_GRAPH = "https://graph.instagram.com/v23.0"

_INSTAGRAM_TOKEN = "IG"
"""What tokens of Instagram Login begin with; they are good at Instagram's own host only."""

_WINDOW = "outside the 24-hour window: the user must write first, or be sent a template"

_WORDS = {
    0: "the token is not valid",
    3: "the app may not make this call",
    10: "the app lacks the permission",
    33: "the account does not exist or the token may not see it",
    100: "a parameter is not valid",
    190: "the token is expired or revoked",
    200: "the app lacks the permission",
    230: "the app lacks the permission",
    368: "the account is blocked for now for a violation of Meta's policies",
    551: "the user is not available",
    130472: "the user is part of an experiment of Meta",
    130497: "the account may not write to users in this country",
    131005: "the app lacks the permission",
    131008: "a parameter is missing",
    131009: "a parameter is not valid",
    131021: "the account cannot write to itself",
    131026: "the message cannot be delivered to this user",
    131030: "the user is not on the list that a test number may write to",
    131031: "the account is locked",
    131037: "the account's display name is not approved",
    131042: "the account's payment method has a problem",
    131045: "the account's number is not registered",
    131047: _WINDOW,
    131048: "too many users have blocked or reported the account",
    131049: "Meta does not deliver it, to keep users from too many messages",
    131050: "the user does not want messages from this account",
    131051: "the message type is not supported",
    133010: "the account's number is not registered",
}
_WORDS_OF_SUBCODES = {
    1545041: "the user is not available, or outside the 24-hour window",
    2018001: "there is no such user",
    2018028: "an app that Meta has not reviewed may write to its own testers only",
    2018065: _WINDOW,
    2018278: _WINDOW,
    2534014: "there is no such user",
    2534022: _WINDOW,
}

_LATER = {
    1: "Meta has a problem",
    2: "Meta has a problem",
    4: "the app's rate limit is reached",
    17: "the rate limit is reached",
    32: "the page's rate limit is reached",
    341: "the app's limit is reached",
    613: "the rate limit is reached",
    1200: "Meta has a problem",
    80006: "the rate limit is reached",
    80007: "the account's rate limit is reached",
    130429: "the account's rate limit is reached",
    131000: "Meta has a problem",
    131016: "Meta is overloaded",
    131056: "too many messages to this user in a short time",
    131057: "the account is in maintenance",
    133004: "Meta has a problem",
}
"""Codes that pass, whatever the HTTP status says."""


async def post_message(
    session: aiohttp.ClientSession,
    settings: InstanceSettings,
    node: str,
    body: Any,
    sent_id: Callable[[dict[str, Any]], Any],
) -> SendResult:
    """
    POST ``body`` to the ``messages`` of ``node``: a number, a page, or ``me``.

    ``sent_id`` finds the message's id in the answer. Every failure is a result.
    """
    token = settings.token.get_secret_value() if settings.token else ""
    if not token:
        return SendRefused(error="the instance has no token")
    return await call(
        session,
        base_of(settings),
        f"{quote(node, safe='')}/messages",
        judge=lambda answer: _judge(answer, sent_id),
        json=body,
        headers={"Authorization": f"Bearer {token}"},
    )


def base_of(settings: InstanceSettings) -> str:
    """Where the API is: as set, else at the host that the token is for."""
    return settings.base_url or (INSTAGRAM_GRAPH if is_instagrams(settings) else GRAPH)


def is_instagrams(settings: InstanceSettings) -> bool:
    """Whether the token is one of Instagram Login, which no page is known to."""
    token = settings.token.get_secret_value() if settings.token else ""
    return token.startswith(_INSTAGRAM_TOKEN)


def _judge(answer: Answer, sent_id: Callable[[dict[str, Any]], Any]) -> SendResult:
    if answer.status < 400:
        return judge_status(answer, first_text(sent_id(object_of(answer.json))) or None)
    error = object_of(object_of(answer.json).get("error"))
    code, subcode = integer_of(error.get("code")), integer_of(error.get("error_subcode"))
    passes = code in _LATER or error.get("is_transient") is True
    return judge_status(
        answer,
        None,
        refusal=_in_words(code, subcode),
        passes=passes and subcode not in _WORDS_OF_SUBCODES,
    )


def _in_words(code: int | None, subcode: int | None) -> str:
    if code is None:
        return ""
    number = f"Meta's code {code}" + (f", subcode {subcode}" if subcode is not None else "")
    meaning = _WORDS_OF_SUBCODES.get(subcode or 0) or _WORDS.get(code) or _LATER.get(code)
    return f"{number}: {meaning}" if meaning else number
