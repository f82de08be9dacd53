"""
Standard Webhooks and CloudEvents (JSON, HTTP): for a channel that speaks no provider's language.

Neither says what a message is: what the events hold is a message in the form of
``POST /api/v1/messages``, alone or as ``{"messages": [...]}``, or stands without any envelope.
An event that is about something else is counted and answered 2xx, or it would come again for
days; a message without envelope that is none is the sender's mistake, and a 400.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

import aiohttp

from shared.errors import RequestRefused
from shared.handlers.signature import signing_key
from shared.instance_settings import InstanceSettings, Secret
from shared.keys import is_instance_name
from shared.model import Message
from shared.providers import (
    Address,
    Echo,
    Parsed,
    ParseOptions,
    PlainAnswer,
    Provider,
    SendResult,
    WebhookRequest,
)
from shared.providers.evidence import only_value
from shared.providers.forms import refusal
from shared.providers.standard_auth import delivery_id, is_vouched_for
from shared.providers.standard_event import Event, events_in, read_json
from shared.providers.standard_form import FORM
from shared.providers.standard_message import NAME, has_user, read_item
from shared.providers.standard_send import send_text
from shared.providers.values import object_of

MALFORMED = "malformed"

_ORIGIN_MAX_CHARS = 255


class Standard(Provider):
    """The provider ``standard``. ``now_s`` is the clock for signed times."""

    name = NAME
    settings_of_its_own = MappingProxyType(
        {"instance_name": "what messages call this instance, if it is not the name here"}
    )
    needs_to_send = ("base_url", "token")
    account_settings = ("instance_name",)
    ignored_kinds = frozenset(
        {"edit", "deletion", "receipt", "presence", "group", "other", "other_account", MALFORMED}
    )
    has_inline_media = True
    form = MappingProxyType(FORM)
    greets = frozenset({"OPTIONS"})
    greeting_parameters = (
        {
            "name": "WebHook-Request-Origin",
            "in": "header",
            "required": True,
            "schema": {
                "type": "string",
                "pattern": "^[ -~]*[!-~][ -~]*$",
                "maxLength": _ORIGIN_MAX_CHARS,
            },
        },
    )

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s

    def problems_of(self, settings: InstanceSettings) -> Sequence[str]:
        """A key whose base64 is none signs nothing, and proves nothing."""
        keys = [("secret", each) for each in settings.secret]
        keys += [("token", settings.token)] if settings.token else []
        return [f"{name}: {problem}" for name, key in keys if (problem := _fault_in(key))]

    def verify(self, request: WebhookRequest, secrets: Sequence[str]) -> bool:
        """A signature of Standard Webhooks, or the secret as a token."""
        return is_vouched_for(request, secrets, self._now_s())

    def greet(self, request: WebhookRequest, settings: InstanceSettings) -> PlainAnswer | None:  # noqa: ARG002
        """Consent to CloudEvents' deliveries: each of them is still asked for its proof."""
        origin = only_value(request.headers, "webhook-request-origin") or ""
        is_plain = origin.isascii() and origin.isprintable() and len(origin) <= _ORIGIN_MAX_CHARS
        if request.method != "OPTIONS" or not origin or not is_plain:
            return None
        allowed = {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*", "Allow": "POST"}
        return PlainAnswer(body=b"", content_type="text/plain", headers=allowed)

    def read(self, request: WebhookRequest) -> Any:
        """
        The JSON, of binary CloudEvents with what their headers say.

        Raises:
            RequestRefused: 400 it is no JSON; 415 it is an event in another format.
        """
        return read_json(request)

    def account_of(self, payload: Any) -> str | None:
        """The ``instance`` of the first message that names one."""
        try:
            events = events_in(payload, None)
        except RequestRefused:
            return None
        named = (_account_in(item) for event in events for item in event.items)
        return next((account for account in named if account is not None), None)

    def parse(self, payload: Any, options: ParseOptions) -> Parsed:
        """
        The messages of one request.

        Raises:
            RequestRefused: 400, naming the field: it holds nothing but what can be no message.
        """
        read: list[Message | Echo | str] = []
        for event in events_in(payload, delivery_id(options.request.headers)):
            if event.signal is not None:
                read.append(event.signal)
                continue
            for number, item in enumerate(event.items):
                read.append(_read(item, number, event, options))
        if read == [MALFORMED] and isinstance(payload, dict):
            raise refusal("user, or text, media and kind are missing, or cannot be read")
        return Parsed(
            messages=tuple(one for one in read if isinstance(one, Message)),
            echoes=tuple(one for one in read if isinstance(one, Echo)),
            ignored=dict(Counter(one for one in read if isinstance(one, str))),
        )

    async def send(
        self,
        session: aiohttp.ClientSession,
        settings: InstanceSettings,
        address: Address,
        text: str,
    ) -> SendResult:
        """POST one text to ``base_url``. Every failure is a result."""
        return await send_text(session, settings, address, text, self._now_s())


def _read(item: Any, number: int, event: Event, options: ParseOptions) -> Message | Echo | str:
    no_message = MALFORMED if event.is_bare else "other"
    if not has_user(item):
        return no_message
    recipient = options.recipient_of(_account_in(item))
    if recipient is None:
        return "other_account"
    return read_item(item, number, event, recipient, options) or no_message


def _fault_in(key: Secret) -> str | None:
    try:
        signing_key(key.get_secret_value())
    except ValueError as error:
        return str(error)
    return None


def _account_in(item: Any) -> str | None:
    name = object_of(item).get("instance")
    return name if isinstance(name, str) and is_instance_name(name) else None
