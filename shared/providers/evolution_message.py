"""
One item of ``messages.upsert``: a message of a user, or something that is counted and passed over.

The order of the questions is fixed, so that each item is counted as one kind: replayed history,
the account's own echo, not a private chat, not a turn of the user, too old. Only what passes all
of them must have an id and a user.
"""

from __future__ import annotations

from typing import Any

from shared.errors import RequestRefused
from shared.model import Message
from shared.providers import ParseOptions, Recipient
from shared.providers.evolution_content import (
    NOT_A_TURN,
    media_in,
    open_content,
    quoted_in,
    text_in,
)
from shared.providers.raw import storable
from shared.providers.values import first_text, integer_of

NAME = "evolution"

_IGNORED_DOMAINS = {"g.us": "group", "broadcast": "broadcast", "newsletter": "newsletter"}

ITEM_KINDS = frozenset(
    {"history", "from_me", "too_old", *_IGNORED_DOMAINS.values(), *NOT_A_TURN.values()}
)
"""Every kind that ``read_item`` may count an item as."""

PHONE = "@s.whatsapp.net"
_LID = "@lid"
_JID_FIELDS = ("remoteJid", "remoteJidAlt", "senderPn", "senderLid")
ID_MAX_CHARS = 256
_SENT_MAX_S = 100_000_000_000
"""The year 5138: a larger ``messageTimestamp`` is not seconds, and is as good as none."""

_RAW_BYTES_FIELDS = frozenset({"base64", "jpegThumbnail"})


def refusal(message: str) -> RequestRefused:
    """400, which Evolution does not send again; ``message`` names the field, never its value."""
    return RequestRefused(400, "invalid_payload", message)


def is_history(value: Any) -> bool:
    """Baileys calls what it replays ``append``; what is new is ``notify``."""
    return isinstance(value, dict) and value.get("type") == "append"


def read_item(
    where: str, item: dict[str, Any], recipient: Recipient, options: ParseOptions
) -> Message | str:
    """
    A message, or the kind it is ignored as. ``where`` is the item's path, for errors.

    Raises:
        RequestRefused: no ``key``; or it would be a message, and lacks its id or its user.
    """
    if is_history(item):
        return "history"
    key = item.get("key")
    if not isinstance(key, dict):
        raise refusal(f"{where}.key must be an object")
    if _is_true(key.get("fromMe")):
        return "from_me"
    if (domain := _domain_of(key.get("remoteJid"))) in _IGNORED_DOMAINS:
        return _IGNORED_DOMAINS[domain]
    message = item.get("message")
    if message is not None and not isinstance(message, dict):
        raise refusal(f"{where}.message must be an object")
    content = open_content(message or {}, item.get("messageType"))
    if content.type_name in NOT_A_TURN:
        return NOT_A_TURN[content.type_name]
    sent_at = in_ms(integer_of(item.get("messageTimestamp")))
    if sent_at is not None and options.received_at - sent_at > options.max_age_ms:
        return "too_old"
    jid, message_id = _jid_of(key, where), _message_id(key, where)
    return Message(
        instance=recipient.instance,
        connection=recipient.connection,
        user=jid.removesuffix(PHONE),
        message_id=message_id,
        text=text_in(content),
        kind=content.kind,
        sent_at=sent_at,
        received_at=options.received_at,
        media=media_in(content, message_id, options.media_inline_bytes),
        quoted=quoted_in(item, content),
        name=first_text(item.get("pushName")) or None,
        reply_to=jid,
        provider=NAME,
        raw=(
            storable(item, options.media_inline_bytes, _RAW_BYTES_FIELDS)
            if recipient.store_raw
            else None
        ),
    )


def _is_true(value: Any) -> bool:
    """An echo that is taken for a user's message makes a bot answer itself: be generous."""
    if value is False or value is None:
        return False
    return value is True or first_text(value).strip().lower() in ("true", "1")


def _domain_of(jid: Any) -> str:
    return jid.rpartition("@")[2].strip() if isinstance(jid, str) and "@" in jid else ""


def _jid_of(key: dict[str, Any], where: str) -> str:
    """
    The user's jid, without a device: the phone number's, else the ``lid``, else what there is.

    WhatsApp is replacing phone numbers by linked ids (``lid``); which field holds which differs
    between Evolution's versions.
    """
    found: str | None = None
    for name in _JID_FIELDS:
        jid = without_device(key.get(name))
        if jid is None:
            continue
        if jid.endswith(PHONE):
            return jid
        if found is None or (jid.endswith(_LID) and not found.endswith(_LID)):
            found = jid
    if found is None:
        raise refusal(f"{where}.key.remoteJid must name a user")
    return found


def without_device(value: Any) -> str | None:
    """A jid without the device that wrote; None: it is none, or no user's."""
    if not isinstance(value, str) or len(value) > ID_MAX_CHARS:
        return None
    user, at, domain = value.strip().partition("@")
    user = user.partition(":")[0]
    if not user or domain in _IGNORED_DOMAINS or "@" in domain:
        return None
    return f"{user}{at}{domain}"


def _message_id(key: dict[str, Any], where: str) -> str:
    message_id = key.get("id")
    if not isinstance(message_id, str) or not message_id.strip() or len(message_id) > ID_MAX_CHARS:
        raise refusal(f"{where}.key.id must be a text of 1 to {ID_MAX_CHARS} characters")
    return message_id


def in_ms(sent_s: int | None) -> int | None:
    """``messageTimestamp`` in ms; None: it is none, or no time."""
    return sent_s * 1000 if sent_s is not None and 0 < sent_s < _SENT_MAX_S else None
