"""
Chatwoot: a help desk whose account webhooks, API inboxes and agent bots all speak one form.

Only ``message_created`` holds messages. A contact's is a turn; an agent's is an echo, for our own
replies come back the same way; private notes, templates, bots and Chatwoot's own remarks are
counted. A conversation that is not ``pending`` is with a person: what the contact writes there is
kept and not answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.providers import (
    Address,
    Echo,
    Parsed,
    ParseOptions,
    Provider,
    SendResult,
    WebhookRequest,
)
from shared.providers.chatwoot_message import (
    MESSAGE_KINDS,
    NAME,
    inbox_of,
    is_of_another_tenant,
    read_message,
    way_of,
)
from shared.providers.chatwoot_send import hide_typing, send_text, show_typing
from shared.providers.evidence import (
    digests,
    is_one_of,
    is_recent,
    octets,
    offered_secrets,
    only_value,
)
from shared.providers.forms import EVENT, refusal
from shared.providers.values import first_text, object_of

_CREATED = "message_created"
_EVENT_KINDS = {
    "conversation_typing_on": "presence",
    "conversation_typing_off": "presence",
}
_EVENT_FAMILIES = {"contact_": "contact_update", "conversation_": "conversation"}


class Chatwoot(Provider):
    """The provider ``chatwoot``. ``now_s`` is the clock that signed timestamps are held against."""

    name = NAME
    settings_of_its_own = MappingProxyType(
        {
            "account_id": "the number behind /accounts/ in Chatwoot's address bar",
            "inbox_id": "the inbox that is this instance, if the webhook tells of several",
        }
    )
    needs_to_send = ("base_url", "token", "account_id")
    account_settings = ("inbox_id",)
    tenant_setting = "account_id"
    form = EVENT
    ignored_kinds = frozenset(
        {
            *_EVENT_KINDS.values(),
            *_EVENT_FAMILIES.values(),
            *MESSAGE_KINDS,
            "edit",
            "deletion",
            "receipt",
            "undelivered",
            "other",
            "other_account",
        }
    )
    typing_s = 30.0  # the timer of Chatwoot's own widget

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s

    def verify(self, request: WebhookRequest, secrets: Sequence[str]) -> bool:
        """
        Versions from 4.11.2 sign ``<timestamp>.<body>``; older ones know only the URL.

        Each is a proof of its own: a newer version whose URL has the secret signs with another.
        """
        return self._is_signed(request, secrets) or is_one_of(offered_secrets(request), secrets)

    def _is_signed(self, request: WebhookRequest, secrets: Sequence[str]) -> bool:
        stamp = only_value(request.headers, "x-chatwoot-timestamp")
        signature = only_value(request.headers, "x-chatwoot-signature")
        if stamp is None or signature is None or not is_recent(stamp, self._now_s()):
            return False
        made = digests(secrets, octets(stamp) + b"." + request.body, "sha256")
        return is_one_of([signature], [f"sha256={digest.hex()}" for digest in made])

    def account_of(self, payload: Any) -> str | None:
        """The inbox's id: unique in a whole Chatwoot, over all its accounts."""
        return inbox_of(payload) if isinstance(payload, dict) else None

    def parse(self, payload: Any, options: ParseOptions) -> Parsed:
        """
        The message of one event; each further attachment of it is a message of its own.

        Raises:
            RequestRefused: 400, the body is no object or names no event.
        """
        if not isinstance(payload, dict):
            raise refusal("the body must be a JSON object")
        event = payload.get("event")
        if not isinstance(event, str) or not event.strip():
            raise refusal("event must be a text that names the event")
        recipient = options.recipient_of(self.account_of(payload))
        if recipient is None or is_of_another_tenant(payload, recipient):
            return Parsed(ignored={"other_account": 1})
        if (name := event.strip().lower()) != _CREATED:
            return Parsed(ignored={_kind_of(name, payload): 1})
        read = read_message(payload, recipient, options)
        if isinstance(read, str):
            return Parsed(ignored={read: 1})
        return Parsed(echoes=(read,)) if isinstance(read, Echo) else Parsed(messages=read)

    async def send(
        self,
        session: aiohttp.ClientSession,
        settings: InstanceSettings,
        address: Address,
        text: str,
    ) -> SendResult:
        """Send one text into the conversation. Every failure is a result."""
        return await send_text(session, settings, address, text)

    async def show_typing(
        self, session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
    ) -> None:
        """Show the contact that somebody types, and agents that the conversation was seen."""
        await show_typing(session, settings, address)

    async def hide_typing(
        self, session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
    ) -> None:
        """Take it back; the contact would see it for 30 s."""
        await hide_typing(session, settings, address)


def _kind_of(event: str, payload: dict[str, Any]) -> str:
    """What an event without a new message is counted as."""
    if event == "message_updated":
        noted = object_of(payload.get("content_attributes"))
        if noted.get("deleted"):
            return "deletion"
        if way_of(payload, {}) == "incoming":
            return "edit"
        return "undelivered" if first_text(noted.get("external_error")) else "receipt"
    if event in _EVENT_KINDS:
        return _EVENT_KINDS[event]
    families = (kind for start, kind in _EVENT_FAMILIES.items() if event.startswith(start))
    return next(families, "other")
