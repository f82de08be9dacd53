"""
Evolution API (v1.8 to v2.3): WhatsApp through a linked phone.

Only ``messages.upsert`` holds messages, and even there much is none: the account's own (``fromMe``)
words, which are echoes, groups, reactions, replayed history. All of it is counted by kind and
answered like a message, or Evolution would send it again. A payload that is not of this form is
refused with 400, which Evolution does not repeat.

The envelope's ``sender`` is the account's own number and its ``date_time`` is local time with a
false ``Z``; neither is used. Its ``apikey`` is a secret and never leaves this module.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType
from typing import Any

import aiohttp

from shared.errors import RequestRefused
from shared.instance_settings import InstanceSettings
from shared.keys import is_instance_name
from shared.model import Message
from shared.payload import parse_json
from shared.providers import (
    Address,
    Echo,
    Parsed,
    ParseOptions,
    Provider,
    Recipient,
    SendResult,
    WebhookRequest,
)
from shared.providers.evolution_auth import is_vouched_for
from shared.providers.evolution_content import change_in
from shared.providers.evolution_message import (
    ITEM_KINDS,
    NAME,
    is_replayed,
    read_item,
)
from shared.providers.evolution_plain import PlainText, message_of, read_plain
from shared.providers.evolution_send import (
    TYPING_MS,
    TYPING_S,
    mark_read,
    send_text,
    set_presence,
)
from shared.providers.forms import EVENT, refusal
from shared.providers.values import object_of, text_of

_UPSERT = "messages_upsert"
_HISTORY_EVENTS = frozenset({"messages_set", "messaging_history_set"})
_CHANGES = frozenset({"messages_edited", "messages_update", "messages_delete"})
_SIGNALS = {
    "application_startup": "connection",
    "instance_create": "connection",
    "instance_delete": "connection",
    "remove_instance": "connection",
    "logout_instance": "connection",
    "qrcode_updated": "connection",
    "connection_update": "connection",
    "status_instance": "connection",
    "creds_update": "connection",
    "send_message": "sent",
    "send_message_update": "edit",
    "contacts_set": "contact_update",
    "contacts_upsert": "contact_update",
    "contacts_update": "contact_update",
    "presence_update": "presence",
    "call": "call",
    "chats_set": "other",
    "chats_update": "other",
    "chats_upsert": "other",
    "chats_delete": "other",
    "groups_upsert": "other",
    "groups_update": "other",
    "group_update": "other",
    "group_participants_update": "other",
    "typebot_start": "other",
    "typebot_change_status": "other",
    "labels_edit": "other",
    "labels_association": "other",
}
"""
Events that hold no message, and the kind each counts as. ``sent``: what went out through the API,
told beside ``messages.upsert``.
"""

_EVENTS = _SIGNALS.keys() | _HISTORY_EVENTS | _CHANGES | {_UPSERT}

IGNORED_KINDS = ITEM_KINDS | {*_SIGNALS.values(), "receipt", "malformed", "other_account"}
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
    typing_s = TYPING_S
    form = EVENT

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s

    def verify(self, request: WebhookRequest, secrets: Sequence[str]) -> bool:
        """Evolution signs no body: a secret must be shown, or a token signed with one."""
        return is_vouched_for(request, secrets, self.event_suffixes, self._now_s())

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

        An ignored event counts once, ignored history and changes once per message in it.

        Raises:
            RequestRefused: 400, naming the field: it is no event, or holds only damaged items.
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
        if event != _UPSERT:
            return Parsed(ignored=_signals_in(event, payload.get("data")))
        return _read_items(payload, recipient, options)

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
        """Mark what is answered as read, once, and show "typing" for nearly ``typing_s``."""
        if not address.typing_shown:
            await mark_read(session, settings, address)
        await set_presence(session, settings, address, "composing", TYPING_MS)

    async def hide_typing(
        self, session: aiohttp.ClientSession, settings: InstanceSettings, address: Address
    ) -> None:
        """Say that nobody types any more."""
        await set_presence(session, settings, address, "paused", 0)


def _read_items(payload: dict[str, Any], recipient: Recipient, options: ParseOptions) -> Parsed:
    """
    What the items of an upsert are; a damaged one among others is counted.

    Raises:
        RequestRefused: there is none, or none but damaged ones.
    """
    replayed = is_replayed(payload) or is_replayed(payload.get("data"))
    messages: list[Message] = []
    echoes: list[Echo] = []
    ignored: dict[str, int] = {}
    damage: RequestRefused | None = None
    for where, item in _items_of(payload):
        try:
            read = read_item(where, item, recipient, options, replayed=replayed)
        except RequestRefused as error:
            damage = damage or error
            read = "malformed"
        if isinstance(read, Message):
            messages.append(read)
        elif isinstance(read, Echo):
            echoes.append(read)
        else:
            ignored[read] = ignored.get(read, 0) + 1
    if damage is not None and not messages and not echoes and len(ignored) == 1:
        raise damage
    return Parsed(messages=tuple(messages), echoes=tuple(echoes), ignored=ignored)


def _event_of(payload: dict[str, Any]) -> str:
    """The event as ``messages_upsert``: Evolution writes it with dots, hyphens or in capitals."""
    event = payload.get("event")
    if event == "messages.upsert":
        return _UPSERT
    if not isinstance(event, str) or not event.strip():
        raise refusal("event must be a text that names the event")
    name = event.strip().lower().replace(".", "_").replace("-", "_")
    return name if name in _EVENTS else "other"


def _signals_in(event: str, data: Any) -> dict[str, int]:
    """What an event without messages counts as: changes and history by item, others once."""
    if event in _HISTORY_EVENTS:
        return {"history": _count_items(data)}
    if event not in _CHANGES:
        return {_SIGNALS.get(event, "other"): 1}
    changed = data if isinstance(data, list) and data else [data]
    return dict(Counter(_change_of(event, object_of(item)) for item in changed))


def _change_of(event: str, item: dict[str, Any]) -> str:
    """
    What happened to a message. ``messages.edited`` is its ``protocolMessage``, of any sort;
    ``messages.update`` is a receipt, unless it says that it is gone or holds what it says now.
    """
    if event == "messages_delete":
        return "deletion"
    if event == "messages_edited":
        return change_in(item)
    status = text_of(item.get("status")).upper()
    if status == "DELETED":
        return "deletion"
    return "edit" if status == "EDITED" or isinstance(item.get("message"), dict) else "receipt"


def _count_items(data: Any) -> int:
    items = data.get("messages") if isinstance(data, dict) else data
    return max(1, len(items)) if isinstance(items, list) else 1


def _items_of(payload: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """Each item with its path; ``data`` is one, an array, or Baileys' own event."""
    data, where = payload.get("data"), "data"
    if isinstance(data, dict) and "key" not in data and isinstance(data.get("messages"), list):
        data, where = data["messages"], "data.messages"
    if isinstance(data, dict):
        return ((where, data),)
    if not isinstance(data, list):
        raise refusal(f"{where} must be an object or an array of objects")
    return ((f"{where}[{index}]", item) for index, item in enumerate(data))
