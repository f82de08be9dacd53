"""
One item of ``messages.upsert``: a message of a user, or something that is counted and passed over.

The order of the questions is fixed, so that each item is counted as one kind: a chat that is none,
not a turn of the user, too old (replayed: history), the account's own words. Only what passes all
of them must have a user.
"""

from __future__ import annotations

from typing import Any

from shared.model import Group, Message
from shared.providers import Echo, ParseOptions, Recipient
from shared.providers.evolution_address import (
    AUTHOR,
    GROUP_DOMAIN,
    NO_PERSONS,
    READER,
    WRITER,
    domain_of,
    group_of,
    person_in,
    user_of,
)
from shared.providers.evolution_content import (
    NOT_A_TURN,
    Content,
    change_in,
    media_in,
    open_content,
    quoted_in,
    text_in,
)
from shared.providers.forms import refusal
from shared.providers.raw import storable
from shared.providers.values import (
    ID_MAX_CHARS,
    first_text,
    hashed_id,
    integer_of,
    is_true,
    seconds_in_ms,
    text_of,
)

NAME = "evolution"

ITEM_KINDS = frozenset(
    {"history", "too_old", "deletion", "other", *NO_PERSONS.values(), *NOT_A_TURN.values()}
)
"""Every kind that ``read_item`` may count an item as."""

_BESIDE = "participant beside the key"

_RAW_BYTES_FIELDS = frozenset({"base64", "jpegThumbnail"})


def is_replayed(value: Any) -> bool:
    """
    Baileys calls what it replays ``append``: history, but also what users wrote while the phone's
    connection was down, so that only its age tells.
    """
    return isinstance(value, dict) and value.get("type") == "append"


def read_item(
    where: str, item: Any, recipient: Recipient, options: ParseOptions, *, replayed: bool
) -> Message | Echo | str:
    """
    A message, an echo, or the kind it is ignored as. ``where`` is the item's path, for errors.

    Raises:
        RequestRefused: it is no item, or it would be a message and does not name its user.
    """
    if not isinstance(item, dict):
        raise refusal(f"{where} must be an object")
    key = item.get("key")
    if not isinstance(key, dict):
        raise refusal(f"{where}.key must be an object")
    domain = domain_of(key.get("remoteJid"))
    if domain in NO_PERSONS and (kind := _kind_of_chat(domain, recipient)):
        return kind
    message = item.get("message")
    if not isinstance(message, dict):
        message = _said(message)
    content = open_content(message, item.get("messageType"))
    if content.type_name in NOT_A_TURN:
        is_change = content.type_name == "protocolMessage"
        return change_in(content.body) if is_change else NOT_A_TURN[content.type_name]
    sent_at = seconds_in_ms(integer_of(item.get("messageTimestamp")))
    replayed |= is_replayed(item)
    if old := _kind_of_age(sent_at, options, replayed=replayed):
        return old
    if is_true(key.get("fromMe")):
        return "group" if domain == GROUP_DOMAIN else _echo(where, item, key, recipient)
    return _message(where, item, key, content, sent_at, recipient, options)


def _message(
    where: str,
    item: dict[str, Any],
    key: dict[str, Any],
    content: Content,
    sent_at: int | None,
    recipient: Recipient,
    options: ParseOptions,
) -> Message:
    """What passed every question; it must have a user."""
    domain = domain_of(key.get("remoteJid"))
    reply_to = _address(where, key, domain)
    group = None if domain != GROUP_DOMAIN else _group(where, item, key, reply_to)
    message_id = _message_id(item, key)
    return Message(
        instance=recipient.instance,
        connection=recipient.connection,
        user=user_of(reply_to) if group is None else f"{group.id}/{group.author}",
        message_id=message_id,
        text=text_in(content),
        kind=content.kind,
        sent_at=sent_at,
        received_at=options.received_at,
        media=media_in(content, message_id, options.media_inline_bytes),
        quoted=quoted_in(item, content),
        name=first_text(item.get("pushName")) or None,
        reply_to=reply_to,
        provider=NAME,
        group=group,
        raw=(
            storable(item, options.media_inline_bytes, _RAW_BYTES_FIELDS)
            if recipient.store_raw
            else None
        ),
    )


def _kind_of_chat(domain: str, recipient: Recipient) -> str:
    """What counts as one kind, whoever wrote it in there; empty: it does not."""
    return "" if domain == GROUP_DOMAIN and recipient.groups else NO_PERSONS[domain]


def _kind_of_age(sent_at: int | None, options: ParseOptions, *, replayed: bool) -> str:
    """What it is passed over as because of when it was sent; empty: it is not."""
    if sent_at is None:
        return "history" if replayed else ""
    if options.received_at - sent_at > options.max_age_ms:
        return "history" if replayed else "too_old"
    return ""


def _said(message: Any) -> dict[str, Any]:
    """A text where WhatsApp has an object is a text that was said."""
    said = text_of(message)
    return {"conversation": said} if said else {}


def _person(where: str, key: dict[str, Any], fields: tuple[str, ...]) -> str:
    jid = person_in(key, fields)
    if jid is None:
        raise refusal(f"{where}.key.{fields[0]} must name a user")
    return jid


def _address(where: str, key: dict[str, Any], domain: str) -> str:
    """Where an answer goes: the other side, or the group."""
    if domain != GROUP_DOMAIN:
        return _person(where, key, WRITER)
    group_id = group_of(key)
    if group_id is None:
        raise refusal(f"{where}.key.remoteJid must name a group")
    return group_id


def _group(where: str, item: dict[str, Any], key: dict[str, Any], group_id: str) -> Group:
    """A group and who wrote in it: its members are conversations of their own."""
    author = _person(where, {**key, _BESIDE: item.get("participant")}, (*AUTHOR, _BESIDE))
    return Group(id=group_id, author=user_of(author))


def _echo(where: str, item: dict[str, Any], key: dict[str, Any], recipient: Recipient) -> Echo:
    return Echo(
        instance=recipient.instance,
        user=user_of(_person(where, key, READER)),
        message_id=_message_id(item, key),
    )


def _message_id(item: dict[str, Any], key: dict[str, Any]) -> str:
    """WhatsApp's id; where it is damaged one that the same item would have again."""
    message_id = key.get("id")
    if isinstance(message_id, str) and len(message_id) <= ID_MAX_CHARS and message_id.strip():
        return message_id
    return hashed_id(item)
