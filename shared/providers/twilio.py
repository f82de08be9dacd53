"""
Twilio: WhatsApp, SMS and MMS, as forms, or as GET with everything in the query.

One request holds one message, whose files become messages of their own. What has a status other
than ``received`` tells of a message that we sent. Twilio reads the answer as instructions, so it
gets the empty ones: the reply goes through its API.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.providers import (
    Address,
    Parsed,
    ParseOptions,
    PlainAnswer,
    Provider,
    Recipient,
    SendResult,
    WebhookRequest,
)
from shared.providers.forms import refusal, with_any_of
from shared.providers.twilio_auth import is_signed
from shared.providers.twilio_form import read_fields
from shared.providers.twilio_message import (
    FIELDS,
    NAME,
    has_its_form,
    is_reaction,
    is_sender,
    is_status,
    kind_of_status,
    read_message,
    spellings_of,
)
from shared.providers.twilio_send import send_text, show_typing
from shared.providers.values import identifier_of


class Twilio(Provider):
    """The provider ``twilio``."""

    name = NAME
    settings_of_its_own = MappingProxyType(
        {
            "account_sid": "the account, AC and 32 digits",
            "from_": "the number that sends and is written to, as whatsapp:+1555... or +1555...",
            "messaging_service_sid": "the service that sends, MG and 32 digits",
        }
    )
    needs_to_send = ("token", "account_sid")
    needs_one_of = ("from_", "messaging_service_sid")
    account_settings = ("from_", "messaging_service_sid")
    ignored_kinds = frozenset(
        {"receipt", "undelivered", "outside_window", "reaction", "other_account", "malformed"}
    )
    form = with_any_of(FIELDS, {"type": "string"})
    media_type = "application/x-www-form-urlencoded"
    takes_get = True
    signs_url = True
    acknowledgement = PlainAnswer(body=b"<Response/>", content_type="text/xml")
    text_max = 1600
    typing_s = 25.0

    def problems_of(self, settings: InstanceSettings) -> Sequence[str]:
        """A number that Twilio does not know, and that none of its webhooks names."""
        if settings.from_ is None or is_sender(settings.from_):
            return ()
        return ["from must be written as whatsapp:+1555... or +1555..., digits alone behind the +"]

    def verify(self, request: WebhookRequest, secrets: Sequence[str]) -> bool:
        """Twilio signs the URL that it was given with the account's auth token, and the form."""
        return is_signed(request, secrets)

    def read(self, request: WebhookRequest) -> dict[str, str]:
        """
        The fields; of one that comes twice the first.

        Raises:
            RequestRefused: 400.
        """
        return read_fields(request)

    def account_of(self, payload: Any) -> str | None:
        """The number that was written to; of a status, the one that had sent."""
        if not isinstance(payload, dict):
            return None
        return identifier_of(payload.get("From" if is_status(payload) else "To")) or None

    def parse(self, payload: Any, options: ParseOptions) -> Parsed:
        """
        The message, and each further file as one more.

        Raises:
            RequestRefused: 400, none of the fields is Twilio's.
        """
        if not isinstance(payload, dict) or not has_its_form(payload):
            raise refusal("the body must be a form of Twilio's")
        recipient = self._recipient(payload, options)
        if recipient is None:
            return Parsed(ignored={"other_account": 1})
        if is_status(payload):
            return Parsed(ignored={kind_of_status(payload): 1})
        if is_reaction(payload):
            return Parsed(ignored={"reaction": 1})
        messages = read_message(payload, recipient, options)
        return Parsed(messages=messages) if messages else Parsed(ignored={"malformed": 1})

    def _recipient(self, payload: dict[str, Any], options: ParseOptions) -> Recipient | None:
        account = self.account_of(payload)
        service = identifier_of(payload.get("MessagingServiceSid")) or None
        spellings = [(each, "from_") for each in spellings_of(account)]
        return options.recipient_of(
            account, "from_", *spellings, (service, "messaging_service_sid")
        )

    async def send(
        self,
        session: aiohttp.ClientSession,
        settings: InstanceSettings,
        address: Address,
        text: str,
    ) -> SendResult:
        """Send one text as a message. Every failure is a result."""
        return await send_text(session, settings, address, text)

    async def show_typing(
        self, session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
    ) -> None:
        """Show "typing" and mark as read, which Twilio can on WhatsApp alone."""
        await show_typing(session, settings, address)
