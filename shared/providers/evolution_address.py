"""
Whom an Evolution message is from, or to: WhatsApp's addresses (jids) in a message's ``key``.

WhatsApp is replacing phone numbers by linked ids (``lid``). Which field holds which, and whether
the phone is there at all, differs between the versions of Evolution: among the fields that speak
of the same person the phone's jid is taken, else the ``lid``, else what there is. A ``lid`` alone
stays one: who it is can be known to nobody who was not told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.providers.values import ID_MAX_CHARS

PHONE = "@s.whatsapp.net"
GROUP_DOMAIN = "g.us"

NO_PERSONS = {GROUP_DOMAIN: "group", "broadcast": "broadcast", "newsletter": "newsletter"}
"""Chats that are no person's, and the kind that what stands in them counts as."""

WRITER = ("remoteJid", "remoteJidAlt", "senderPn", "senderLid", "previousRemoteJid")
"""What names the other side of a direct chat, where it wrote itself."""

READER = ("remoteJid", "remoteJidAlt", "previousRemoteJid")
"""What names it where the account wrote: the sender's fields are then the account's own."""

AUTHOR = ("participant", "participantAlt", "participantPn", "participantLid", "senderPn")
"""What names who wrote in a group."""

_LID = "@lid"
_DOMAINS = {"c.us": "s.whatsapp.net", "hosted": "s.whatsapp.net", "hosted.lid": "lid"}
"""Other domains of the same addresses: an older one, and those of numbers that Meta hosts."""


def domain_of(jid: Any) -> str:
    """What stands behind the ``@``."""
    return jid.rpartition("@")[2].strip() if isinstance(jid, str) else ""


def person_in(key: Mapping[str, Any], fields: Sequence[str]) -> str | None:
    """The jid of the person that all ``fields`` speak of, without a device."""
    found: str | None = None
    for name in fields:
        jid = without_device(key.get(name))
        if jid is None:
            continue
        if jid.endswith(PHONE):
            return jid
        if found is None or (jid.endswith(_LID) and not found.endswith(_LID)):
            found = jid
    return found


def user_of(jid: str) -> str:
    """A person as a user: a phone's digits, else the jid."""
    return jid.removesuffix(PHONE)


def group_of(key: Mapping[str, Any]) -> str | None:
    """The group that a message was written in."""
    jid = key.get("remoteJid")
    if not isinstance(jid, str) or len(jid) > ID_MAX_CHARS:
        return None
    name, _, domain = jid.strip().partition("@")
    return f"{name}@{domain}" if name and domain == GROUP_DOMAIN else None


def without_device(value: Any) -> str | None:
    """A jid without the device that wrote; None: it is none, or no person's."""
    if not isinstance(value, str) or len(value) > ID_MAX_CHARS:
        return None
    if value.endswith(PHONE) and value[: -len(PHONE)].isdecimal():
        return value
    user, at, domain = value.strip().partition("@")
    user = user.partition(":")[0]
    if not user or domain in NO_PERSONS or "@" in domain:
        return None
    if not at and user.isascii() and user.isdigit():
        return f"{user}{PHONE}"
    return f"{user}{at}{_DOMAINS.get(domain, domain)}"
