"""
Who a WAHA payload speaks of: its message id, the chat, the user.

A chat is ``<phone>@c.us``, ``<number>@lid`` (which hides the phone), ``...@g.us``, a broadcast list
or a newsletter. Message ids are ``<fromMe>_<chat>_<raw id>[_<participant>]``. Beside WAHA's own
fields ``_data`` has what its engine said, which may know the phone behind a ``@lid``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from shared.providers.values import ID_MAX_CHARS, first_text, identifier_of, object_of

IGNORED_DOMAINS = {"g.us": "group", "broadcast": "broadcast", "newsletter": "newsletter"}

_PHONES = frozenset({"c.us", "s.whatsapp.net"})


class MessageKey(Struct, frozen=True, kw_only=True, gc=False):
    """A message's id, taken apart: ``raw`` is WhatsApp's own. Empty: the id does not say."""

    whole: str
    is_own: bool = False
    chat: str = ""
    raw: str = ""
    participant: str = ""


def key_of(value: Any) -> MessageKey:
    """The parts of a message id, given as text or, by WEBJS, as an object."""
    if isinstance(value, dict):
        value = first_text(value.get("_serialized"), value.get("id"))
    whole = identifier_of(value)
    own, _, rest = whole.partition("_")
    chat, _, tail = rest.partition("_")
    if own not in ("true", "false") or not chat or not tail:
        return MessageKey(whole=whole, raw=whole)
    raw, _, last = tail.rpartition("_")
    if not raw or "@" not in last:
        raw, last = tail, ""
    return MessageKey(
        whole=whole,
        is_own=own == "true",
        chat=jid_of(chat),
        raw=raw,
        participant=jid_of(last),
    )


def jid_of(value: Any) -> str:
    """
    A chat's or person's address as WAHA writes it, without a device.

    A bare number is a phone's. Empty: it is no address.
    """
    if isinstance(value, dict):  # as WEBJS writes it
        value = value.get("_serialized")
    text = first_text(value).strip()
    user, at, domain = text.partition("@")
    user = user.partition(":")[0]
    if not user or "@" in domain or len(text) > ID_MAX_CHARS:
        return ""
    if domain and domain not in _PHONES:
        return f"{user}@{domain}"
    return f"{user}@c.us" if at or (user.isascii() and user.isdigit()) else ""


def domain_of(jid: str) -> str:
    """What stands behind the ``@``."""
    return jid.rpartition("@")[2]


def user_of(candidates: Iterable[Any]) -> str:
    """
    The person that all ``candidates`` are addresses of: a phone's digits, else the ``lid``.

    What is no person's address is passed over; empty: none of them is.
    """
    found = ""
    for jid in map(jid_of, candidates):
        domain = domain_of(jid)
        if not jid or domain in IGNORED_DOMAINS:
            continue
        if domain in _PHONES:
            return jid.partition("@")[0]
        if not found or (domain == "lid" and domain_of(found) != "lid"):
            found = jid
    return found


def ignored_chat(payload: dict[str, Any], key: MessageKey) -> tuple[str, str] | None:
    """The chat, if it is not a direct one, and the kind that it is ignored as."""
    for jid in (jid_of(payload.get("from")), key.chat, jid_of(payload.get("to"))):
        if (domain := domain_of(jid)) in IGNORED_DOMAINS:
            return jid, IGNORED_DOMAINS[domain]
    return None


def sender_of(payload: dict[str, Any], key: MessageKey) -> str:
    """Who wrote in a direct chat: the chat's other side, also by the engine's second names."""
    told = _told(payload)
    names = ("SenderAlt", "Sender", "Chat", "remoteJid", "remoteJidAlt", "senderPn")
    return user_of([payload.get("from"), key.chat, *(told.get(name) for name in names)])


def author_of(payload: dict[str, Any], key: MessageKey) -> str:
    """Who wrote in a group."""
    told = _told(payload)
    names = ("SenderAlt", "Sender", "participantAlt", "participantPn", "participant", "author")
    own = (payload.get("participant"), payload.get("author"), key.participant)
    return user_of([*own, *(told.get(name) for name in names)])


def receiver_of(payload: dict[str, Any], key: MessageKey, me: dict[str, Any]) -> str:
    """
    To whom the account itself wrote: perhaps to itself.

    ``from`` is the account with some engines, the chat with others.
    """
    ours = {jid_of(me.get(name)) for name in ("id", "lid", "jid")}
    named = (key.chat, jid_of(payload.get("to")), jid_of(payload.get("from")))
    chats = [jid for jid in named if jid]
    chat = next((jid for jid in chats if jid not in ours), chats[0] if chats else "")
    told = _told(payload)
    names = ("RecipientAlt", "remoteJidAlt")
    return user_of([chat, *(told.get(name) for name in names)])


def _told(payload: dict[str, Any]) -> dict[str, Any]:
    """The engine's own fields: GOWS has them in ``Info``, NOWEB in ``key``."""
    data = object_of(payload.get("_data"))
    return object_of(data.get("key")) | object_of(data.get("Info")) | {"author": data.get("author")}
