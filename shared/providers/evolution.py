"""
Evolution API (v1.8 to v2.3): WhatsApp through a linked phone.

Only ``messages.upsert`` holds messages, and even there much is none: the account's own (``fromMe``)
echoes, groups, reactions, replayed history. All of it is counted by kind and answered like a
message, or Evolution would send it again. A payload that is not of this form is refused with 400,
which Evolution does not repeat.

The envelope's ``sender`` is the account's own number and its ``date_time`` is local time with a
false ``Z``; neither is used. Its ``apikey`` is a secret and never leaves this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import MappingProxyType
from typing import Any

import aiohttp

from shared.instance_settings import InstanceSettings
from shared.keys import is_instance_name
from shared.model import Message
from shared.payload import parse_json
from shared.providers import Address, Parsed, ParseOptions, Provider, SendResult, WebhookRequest
from shared.providers.evolution_auth import is_vouched_for
from shared.providers.evolution_message import (
    ITEM_KINDS,
    NAME,
    is_history,
    read_item,
    refusal,
)
from shared.providers.evolution_plain import PlainText, message_of, read_plain
from shared.providers.evolution_send import send_text

_UPSERT = "messages_upsert"
_HISTORY_EVENTS = frozenset({"messages_set", "messaging_history_set"})
_OTHER_EVENTS = frozenset(
    {
        "application_startup",
        "instance_create",
        "instance_delete",
        "remove_instance",
        "logout_instance",
        "qrcode_updated",
        "connection_update",
        "status_instance",
        "creds_update",
        "send_message",
        "send_message_update",
        "messages_edited",
        "messages_update",
        "messages_delete",
        "contacts_set",
        "contacts_upsert",
        "contacts_update",
        "presence_update",
        "chats_set",
        "chats_update",
        "chats_upsert",
        "chats_delete",
        "groups_upsert",
        "groups_update",
        "group_update",
        "group_participants_update",
        "call",
        "typebot_start",
        "typebot_change_status",
        "labels_edit",
        "labels_association",
    }
)
_EVENTS = _OTHER_EVENTS | _HISTORY_EVENTS | {_UPSERT}

IGNORED_KINDS = _OTHER_EVENTS | ITEM_KINDS | {"other", "other_account"}
"""Every kind that ``Parsed.ignored`` may count."""


class Evolution(Provider):
    """The provider ``evolution``. ``now_s`` is the clock for the expiry of signed tokens."""

    name = NAME
    settings_of_its_own = MappingProxyType(
        {"instance_name": "the instance's name in Evolution, if it is not the name here"}
    )
    needs_to_send = ("base_url", "token")
    account_settings = ("instance_name",)
    ignored_kinds = IGNORED_KINDS
    event_suffixes = frozenset(event.replace("_", "-") for event in _EVENTS)  # ``byEvents``
    has_inline_media = True

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s

    def verify(self, request: WebhookRequest, secrets: Sequence[str]) -> bool:
        """Evolution signs no body: a header must hold a secret, or a token signed with one."""
        return is_vouched_for(request.headers, secrets, self._now_s())

    def read(self, request: WebhookRequest) -> Any:
        """An ordinary text in a form of its own, which is quick; else the JSON."""
        return read_plain(request.body) or parse_json(request.body)

    def account_of(self, payload: Any) -> str | None:
        """The envelope's ``instance``, if it is a name that can be one."""
        if isinstance(payload, PlainText):
            name = payload.instance
        else:
            name = payload.get("instance") if isinstance(payload, dict) else None
        return name if isinstance(name, str) and is_instance_name(name) else None

    def parse(self, payload: Any, options: ParseOptions) -> Parsed:
        """
        The messages of one event.

        An ignored event counts once, ignored history once per message in it.

        Raises:
            RequestRefused: 400, naming the field; one bad item refuses the whole event.
        """
        if isinstance(payload, PlainText):
            recipient = options.recipient_of(self.account_of(payload))
            message = message_of(payload, recipient, options) if recipient else None
            if message is not None:
                return Parsed(messages=(message,))
            payload = parse_json(options.request.body)
        if not isinstance(payload, dict):
            raise refusal("the body must be a JSON object")
        event = _event_of(payload)
        recipient = options.recipient_of(self.account_of(payload))
        if recipient is None:
            return Parsed(ignored={"other_account": 1})
        if event in _HISTORY_EVENTS:
            return Parsed(ignored={"history": _count_items(payload.get("data"))})
        if event != _UPSERT:
            return Parsed(ignored={event: 1})
        if is_history(payload) or is_history(payload.get("data")):
            return Parsed(ignored={"history": _count_items(payload.get("data"))})
        messages: list[Message] = []
        ignored: dict[str, int] = {}
        for where, item in _items_of(payload):
            read = read_item(where, item, recipient, options)
            if isinstance(read, Message):
                messages.append(read)
            else:
                ignored[read] = ignored.get(read, 0) + 1
        return Parsed(messages=tuple(messages), ignored=ignored)

    async def send(
        self,
        session: aiohttp.ClientSession,
        settings: InstanceSettings,
        address: Address,
        text: str,
    ) -> SendResult:
        """Send one text with ``sendText``. Every failure is a result."""
        return await send_text(session, settings, address, text)


def _event_of(payload: dict[str, Any]) -> str:
    """The event as ``messages_upsert``: Evolution writes it with dots, hyphens or in capitals."""
    event = payload.get("event")
    if event == "messages.upsert":
        return _UPSERT
    if not isinstance(event, str) or not event.strip():
        raise refusal("event must be a text that names the event")
    name = event.strip().lower().replace(".", "_").replace("-", "_")
    return name if name in _EVENTS else "other"


def _count_items(data: Any) -> int:
    items = data.get("messages") if isinstance(data, dict) else data
    return max(1, len(items)) if isinstance(items, list) else 1


def _items_of(payload: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Each message object with its path; ``data`` is one, an array, or Baileys' own event."""
    data, where = payload.get("data"), "data"
    if isinstance(data, dict) and "key" not in data and isinstance(data.get("messages"), list):
        data, where = data["messages"], "data.messages"
    if isinstance(data, dict):
        return ((where, data),)
    if not isinstance(data, list):
        raise refusal(f"{where} must be an object or an array of objects")
    return _listed_items(data, where)


def _listed_items(data: list[Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for index, item in enumerate(data):
        if not isinstance(item, dict):
            raise refusal(f"{where}[{index}] must be an object")
        yield f"{where}[{index}]", item
