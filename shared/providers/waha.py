"""
WAHA: WhatsApp through a linked phone or browser, by one of several engines.

Only ``message`` and ``message.any`` hold messages; the account's own among them are echoes. All
other events are counted by kind. See https://waha.devlike.pro/docs/how-to/events.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.keys import is_instance_name
from shared.model import Message
from shared.providers import (
    Address,
    Echo,
    Parsed,
    ParseOptions,
    Provider,
    SendResult,
    WebhookRequest,
)
from shared.providers.evidence import digests, is_one_of, offered_secrets, only_value
from shared.providers.forms import EVENT, refusal
from shared.providers.waha_message import MESSAGE_KINDS, NAME, read_message
from shared.providers.waha_send import ask, send_text

SIGNATURE = "x-webhook-hmac"
_OWN_HEADERS = ("x-api-key", "x-webhook-secret")
"""What ``customHeaders`` of WAHA's settings may hold the secret in, beside ``Authorization``."""

_MESSAGE_EVENTS = frozenset({"message", "message.any"})

_KINDS = {
    "message.ack": "receipt",
    "message.ack.group": "receipt",
    "message.reaction": "reaction",
    "message.edited": "edit",
    "message.revoked": "deletion",
    "message.waiting": "waiting",
    "poll.vote": "poll",
    "poll.vote.failed": "poll",
    "presence.update": "presence",
    "session.status": "connection",
    "state.change": "connection",
}
_KINDS_OF_FAMILIES = {
    "group": "group",
    "call": "call",
    "label": "contact_update",
    "chat": "contact_update",
    "contact": "contact_update",
}


class Waha(Provider):
    """The provider ``waha``."""

    name = NAME
    settings_of_its_own = MappingProxyType(
        {"session": "the session's name in WAHA, if it is not the name here"}
    )
    needs_to_send = ("base_url", "token")
    account_settings = ("session",)
    form = EVENT
    ignored_kinds = frozenset(
        {*_KINDS.values(), *_KINDS_OF_FAMILIES.values(), *MESSAGE_KINDS, "other", "other_account"}
    )
    has_inline_media = True
    typing_s = 10.0

    def verify(self, request: WebhookRequest, secrets: Sequence[str]) -> bool:
        """
        A signature (HMAC-SHA512 of the body, in lower-case hex) alone decides where there is one.

        Without one, the secret itself must be offered: WAHA signs only where it has an
        ``hmac.key``.
        """
        if SIGNATURE not in request.headers:
            return is_one_of(offered_secrets(request, *_OWN_HEADERS), secrets)
        signature = only_value(request.headers, SIGNATURE)
        expected = [digest.hex() for digest in digests(secrets, request.body, "sha512")]
        return signature is not None and is_one_of([signature], expected)

    def account_of(self, payload: Any) -> str | None:
        """The envelope's ``session``, if it is a name that can be one."""
        name = payload.get("session") if isinstance(payload, dict) else None
        return name if isinstance(name, str) and is_instance_name(name) else None

    def parse(self, payload: Any, options: ParseOptions) -> Parsed:
        """
        The message, or echo, of one event.

        Raises:
            RequestRefused: 400, it is no event.
        """
        if not isinstance(payload, dict):
            raise refusal("the body must be a JSON object")
        event = payload.get("event")
        if not isinstance(event, str) or not event.strip():
            raise refusal("event must be a text that names the event")
        event = event.strip().lower()
        recipient = options.recipient_of(self.account_of(payload))
        if recipient is None:
            return Parsed(ignored={"other_account": 1})
        if event not in _MESSAGE_EVENTS:
            return Parsed(ignored={_kind_of(event): 1})
        read = read_message(payload, event, recipient, options)
        if isinstance(read, Message):
            return Parsed(messages=(read,))
        return Parsed(echoes=(read,)) if isinstance(read, Echo) else Parsed(ignored={read: 1})

    async def send(
        self,
        session: aiohttp.ClientSession,
        settings: InstanceSettings,
        address: Address,
        text: str,
    ) -> SendResult:
        """Send one text with ``sendText``. Every failure is a result."""
        return await send_text(session, settings, address, text)

    async def show_typing(
        self, session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
    ) -> None:
        """Mark the chat as seen, once, and show "typing"."""
        if not address.typing_shown:
            await ask(session, settings, address, "sendSeen")
        await ask(session, settings, address, "startTyping")

    async def hide_typing(
        self, session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
    ) -> None:
        """Take "typing" back."""
        await ask(session, settings, address, "stopTyping")


def _kind_of(event: str) -> str:
    family = event.partition(".")[0]
    return _KINDS.get(event) or _KINDS_OF_FAMILIES.get(family, "other")
