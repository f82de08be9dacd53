"""
One item of a change's ``messages``: a user's turn, or something that is counted and passed over.

``type`` names the member with the content. A type that no rule explains is ``Kind.UNKNOWN`` with
what text it has. Nothing here raises: values of any type stand anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from shared.model import Group, Kind, Media, Message
from shared.providers import ParseOptions, Recipient
from shared.providers.meta import id_of, moment_ms, name_of
from shared.providers.raw import storable
from shared.providers.values import (
    FILE_KINDS,
    first_text,
    lines,
    object_of,
    point,
    text_of,
    web_url,
)

NAME = "whatsapp"

_KINDS = {
    "text": Kind.TEXT,
    "image": Kind.IMAGE,
    "video": Kind.VIDEO,
    "audio": Kind.AUDIO,
    "voice": Kind.AUDIO,
    "document": Kind.DOCUMENT,
    "sticker": Kind.STICKER,
    "location": Kind.LOCATION,
    "contacts": Kind.CONTACT,
    "button": Kind.BUTTON,
    "interactive": Kind.UNKNOWN,
    "order": Kind.UNKNOWN,
}
_CHOICES = {"button_reply": Kind.BUTTON, "list_reply": Kind.LIST, "nfm_reply": Kind.BUTTON}

NOT_A_TURN = {
    "reaction": "reaction",
    "edit": "edit",
    "revoke": "deletion",
    "system": "contact_update",
    "request_welcome": "other",
    "unsupported": "unsupported",
}
"""Types that no answer is due for, and the kind each is counted as."""

ITEM_KINDS = frozenset({*NOT_A_TURN.values(), "group", "malformed", "duplicate"})
"""Every kind that ``read_item`` may count an item as."""


class Contacts:
    """Who the users of an entry are: numbers, ids and names, from ``contacts`` beside messages."""

    def __init__(self, values: Sequence[dict[str, Any]]) -> None:
        self._phones: dict[str, str] = {}
        self._names: dict[str, str] = {}
        for value in values:
            listed = value.get("contacts")
            for contact in listed if isinstance(listed, list) else ():
                self._learn(object_of(contact))

    def _learn(self, contact: dict[str, Any]) -> None:
        phone, user_id = phone_of(contact.get("wa_id")), name_of(contact.get("user_id"))
        profile = object_of(contact.get("profile"))
        name = first_text(profile.get("name"), profile.get("username"), contact.get("username"))
        if phone and user_id:
            self._phones[user_id] = phone
        if name:
            self._names |= {key: name for key in (phone, user_id) if key}

    def user_of(self, *ids: Any) -> str | None:
        """The number behind the first of ``ids`` that has one; else the first that is an id."""
        named = [name for name in map(name_of, ids) if name]
        known = [self._phones[name] for name in named if name in self._phones]
        return next(iter([*known, *named]), None)

    def name_of(self, user: str) -> str | None:
        """What the user is called, if a contact says it."""
        return self._names.get(user)


def phone_of(value: Any) -> str | None:
    """A number's digits; None: it is none."""
    digits = text_of(value).strip().removeprefix("+")
    return name_of(digits) if digits.isascii() and digits.isdigit() else None


def read_item(
    item: dict[str, Any], contacts: Contacts, recipient: Recipient, options: ParseOptions
) -> Message | str:
    """A message, or the kind that it is ignored as."""
    group_id = name_of(item.get("group_id"))
    if item.get("group_id") not in (None, "") and not (recipient.groups and group_id):
        return "group"
    kind_name = _type_of(item)
    if kind_name in NOT_A_TURN:
        return NOT_A_TURN[kind_name]
    sender = item.get("from")
    author = phone_of(sender) or contacts.user_of(item.get("from_user_id"), sender)
    if author is None:
        return "malformed"
    kind, text = _content_of(item, kind_name)
    body = object_of(item.get(kind_name)) or object_of(item.get(kind.value))
    return Message(
        instance=recipient.instance,
        connection=recipient.connection,
        user=f"{group_id}/{author}" if group_id else author,
        message_id=id_of(item.get("id"), item),
        text=text,
        kind=kind,
        sent_at=moment_ms(item.get("timestamp")),
        received_at=options.received_at,
        media=_media(body) if kind in FILE_KINDS and body else None,
        quoted=first_text(object_of(item.get("context")).get("id")) or None,
        name=contacts.name_of(author),
        reply_to=group_id or author,
        provider=NAME,
        group=Group(id=group_id, author=author) if group_id else None,
        raw=storable(item, options.media_inline_bytes) if recipient.store_raw else None,
    )


def _type_of(item: dict[str, Any]) -> str:
    """What ``type`` says; where it says nothing, the member that is there."""
    said = text_of(item.get("type"))
    if said:
        return said
    present = [name for name in (*_KINDS, *NOT_A_TURN) if item.get(name) is not None]
    return present[0] if present else ""


def _content_of(item: dict[str, Any], kind_name: str) -> tuple[Kind, str]:
    bare = item.get(kind_name)
    body, kind = object_of(bare), _KINDS.get(kind_name, Kind.UNKNOWN)
    if kind_name == "text":
        return kind, first_text(body.get("body"), bare)
    if kind in FILE_KINDS:
        return kind, text_of(body.get("caption"))
    if kind_name == "location":
        return kind, lines(
            point(body, "latitude", "longitude"), body.get("name"), body.get("address")
        )
    if kind_name == "contacts":
        return kind, lines(*_cards(bare))
    if kind_name == "button":
        return kind, first_text(body.get("text"), body.get("payload"))
    if kind_name == "interactive":
        return _choice(body)
    if kind_name == "order":
        return kind, lines(*_order(body))
    return kind, _any_text(bare)


def _cards(cards: Any) -> Iterator[str]:
    for card in map(object_of, cards if isinstance(cards, list) else [cards]):
        name = object_of(card.get("name"))
        parts = [text_of(name.get(part)) for part in ("first_name", "last_name")]
        yield first_text(name.get("formatted_name"), " ".join(filter(None, parts)))
        phones = card.get("phones")
        for phone in map(object_of, phones if isinstance(phones, list) else ()):
            yield first_text(phone.get("phone"), phone.get("wa_id"))


def _choice(body: dict[str, Any]) -> tuple[Kind, str]:
    """A pressed button, a chosen row, or a filled-in flow, which answers with JSON."""
    said = text_of(body.get("type"))
    name = said if said in _CHOICES else next((name for name in _CHOICES if name in body), "")
    if not name:
        return Kind.UNKNOWN, _any_text(body)
    chosen = object_of(body.get(name))
    members = ("response_json", "body", "name") if name == "nfm_reply" else ("title", "id")
    return _CHOICES[name], first_text(*(chosen.get(member) for member in members))


def _order(body: dict[str, Any]) -> Iterator[str]:
    """What is ordered, an item a line: ``3 x TEA-250, 4.5 EUR``."""
    yield text_of(body.get("text"))
    items = body.get("product_items")
    for item in map(object_of, items if isinstance(items, list) else ()):
        quantity, product = text_of(item.get("quantity")), text_of(item.get("product_retailer_id"))
        price = f"{text_of(item.get('item_price'))} {text_of(item.get('currency'))}".strip()
        counted = f"{quantity} x {product}" if quantity and product else product
        yield ", ".join(filter(None, (counted, price)))


def _any_text(bare: Any) -> str:
    """What a type that no rule explains says, itself or in a member of a telling name."""
    body = object_of(bare)
    inner = object_of(body.get(text_of(body.get("type"))))
    names = ("body", "text", "caption", "title", "name", "description", "payload")
    return first_text(bare, *(of.get(name) for of in (body, inner) for name in names))


def _media(body: dict[str, Any]) -> Media:
    """``id`` and ``url`` both want the instance's token; the url is short-lived."""
    return Media(
        url=web_url(body.get("url")),
        id=first_text(body.get("id")) or None,
        mime=first_text(body.get("mime_type")) or None,
        caption=first_text(body.get("caption")) or None,
        name=first_text(body.get("filename")) or None,
    )
