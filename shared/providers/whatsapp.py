"""
WhatsApp through Meta's Cloud API.

A request holds entries (accounts) with changes, each of them with messages, receipts or echoes of
one number. Only the field ``messages`` holds what users wrote; a message that a person sent from
the phone of a number that is in use there, too, comes as an echo.

Users that have a name instead of a number come with an id of their business' own (BSUID). Where
a contact beside the message knows both, the number is the user: one person, one conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.providers import Address, Echo, Parsed, ParseOptions, Recipient, SendResult
from shared.providers.meta import (
    Gathered,
    MetaProvider,
    count_of,
    entries_of,
    id_of,
    name_of,
    objects_in,
)
from shared.providers.values import first_text, integer_of, object_of, text_of
from shared.providers.whatsapp_message import ITEM_KINDS, NAME, Contacts, phone_of, read_item
from shared.providers.whatsapp_send import mark_read_and_typing, send_text

_OBJECT = "whatsapp_business_account"
_ECHOES = "smb_message_echoes"
_WINDOW_CODE = 131047
_OTHER_FIELDS = {
    "history": "history",
    "smb_app_state_sync": "contact_update",
    "user_id_update": "contact_update",
    "calls": "call",
}

_LISTS = (
    "messages",
    "message_echoes",
    "statuses",
    "errors",
    "calls",
    "history",
    "user_preferences",
)

IGNORED_KINDS = (
    ITEM_KINDS
    | frozenset(_OTHER_FIELDS.values())
    | {"receipt", "undelivered", "outside_window", "error", "other", "other_account"}
)
"""
Every kind that ``Parsed.ignored`` may count. ``undelivered``: a receipt of a failure;
``outside_window``: of one for writing later than 24 hours after the user.
"""


class WhatsApp(MetaProvider):
    """The provider ``whatsapp``."""

    name = NAME
    settings_of_its_own = MappingProxyType(
        {
            "verify_token": "what Meta's handshake must say, made up by you",
            "phone_number_id": "Meta's id of the number that sends and receives",
        }
    )
    needs_to_send = ("token", "phone_number_id")
    account_settings = ("phone_number_id",)
    ignored_kinds = IGNORED_KINDS
    text_max = 4096
    typing_s = 25.0

    def problems_of(self, settings: InstanceSettings) -> Sequence[str]:
        """The number's id is often taken for the number itself, which nothing is sent with."""
        number = settings.phone_number_id
        if number is None or (number.isascii() and number.isdigit()):
            return ()
        return ["phone_number_id must be Meta's id of the number, digits alone: not the number"]

    def account_of(self, payload: Any) -> str | None:
        """The first number that the payload is for."""
        for entry in _listed(object_of(payload).get("entry")):
            for change in _listed(entry.get("changes")):
                if account := _account_in(object_of(change.get("value"))):
                    return account
        return None

    def parse(self, payload: Any, options: ParseOptions) -> Parsed:
        """
        Everything in the batch, in its order.

        Raises:
            RequestRefused: 400, the body is not Meta's envelope.
        """
        entries = entries_of(payload)
        gathered = Gathered()
        if payload.get("object", _OBJECT) != _OBJECT:
            gathered.ignore("other", 1)
            return gathered.parsed()
        for entry in objects_in(entries, gathered):
            changes = list(objects_in(entry.get("changes"), gathered))
            contacts = Contacts([object_of(change.get("value")) for change in changes])
            for change in changes:
                _read_change(change, contacts, options, gathered)
        return gathered.parsed()

    async def send(
        self,
        session: aiohttp.ClientSession,
        settings: InstanceSettings,
        address: Address,
        text: str,
    ) -> SendResult:
        """Send one text. Every failure is a result."""
        return await send_text(session, settings, address, text)

    async def show_typing(
        self, session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
    ) -> None:
        """Mark as read up to the last message, and show "typing", in one call."""
        await mark_read_and_typing(session, settings, address)


def _listed(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _account_in(value: dict[str, Any]) -> str | None:
    return name_of(object_of(value.get("metadata")).get("phone_number_id"))


def _read_change(
    change: dict[str, Any], contacts: Contacts, options: ParseOptions, gathered: Gathered
) -> None:
    value, field = object_of(change.get("value")), text_of(change.get("field")) or "messages"
    account = _account_in(value)
    recipient = options.recipient_of(account, "phone_number_id")
    if recipient is None:
        gathered.ignore("other_account", _items_in(value))
    elif field == "messages":
        _read_value(value, contacts, recipient, options, gathered)
    elif field == _ECHOES:
        for item in objects_in(value.get("message_echoes"), gathered):
            gathered.add(_echo(item, contacts, recipient))
    else:
        gathered.ignore(_OTHER_FIELDS.get(field, "other"), _items_in(value))


def _read_value(
    value: dict[str, Any],
    contacts: Contacts,
    recipient: Recipient,
    options: ParseOptions,
    gathered: Gathered,
) -> None:
    if _count_in(value) == 0:
        gathered.ignore("other", 1)
    for item in objects_in(value.get("messages"), gathered):
        gathered.add(read_item(item, contacts, recipient, options))
    for item in objects_in(value.get("message_echoes"), gathered):
        gathered.add(_echo(item, contacts, recipient))
    for status in objects_in(value.get("statuses"), gathered):
        gathered.ignore(_kind_of(status), 1)
    gathered.ignore("error", count_of(value.get("errors")))
    gathered.ignore("call", count_of(value.get("calls")))


def _kind_of(status: dict[str, Any]) -> str:
    """Meta often takes a text, and says only then that it is outside the 24-hour window."""
    if status.get("status") != "failed":
        return "receipt"
    errors = status.get("errors")
    codes = [integer_of(each.get("code")) for each in _listed(errors)]
    return "outside_window" if _WINDOW_CODE in codes else "undelivered"


def _echo(item: dict[str, Any], contacts: Contacts, recipient: Recipient) -> Echo | str:
    if first_text(item.get("group_id")):
        return "group"
    user = phone_of(item.get("to")) or contacts.user_of(item.get("to_user_id"), item.get("to"))
    if user is None:
        return "malformed"
    return Echo(instance=recipient.instance, user=user, message_id=id_of(item.get("id"), item))


def _items_in(value: dict[str, Any]) -> int:
    """How many things a change holds that is not looked into; at least itself."""
    return max(1, _count_in(value))


def _count_in(value: dict[str, Any]) -> int:
    return sum(count_of(value.get(name)) for name in _LISTS)
