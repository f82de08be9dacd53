"""
One message of Twilio: who wrote it, what it says, and one message more per further file.

Which fields come differs by channel, by product and by year, so each is taken for what it is
worth alone. Nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from shared.model import Kind, Media, Message
from shared.providers import ParseOptions, Recipient
from shared.providers.raw import storable
from shared.providers.values import (
    first_text,
    hashed_id,
    identifier_of,
    integer_of,
    lines,
    point,
    text_of,
    web_url,
)

NAME = "twilio"

_SIDS = ("MessageSid", "SmsMessageSid", "SmsSid")
FIELDS = frozenset({"From", "To", "Body", "AccountSid", "MessageStatus", "SmsStatus", *_SIDS})
"""What has none of these is not Twilio's."""

WHATSAPP = "whatsapp:"
OUTSIDE_WINDOW = 63016
"""Twilio's code for a free text more than 24 hours after the user's last message."""

_MEDIA_URL = re.compile(r"MediaUrl(\d{1,4})", re.ASCII)
_NUMBER = re.compile(r"\+\d{1,15}", re.ASCII)
_SHORT_CODE = re.compile(r"\d{3,8}", re.ASCII)
_CARDS = frozenset({"text/vcard", "text/x-vcard", "text/directory"})
_TOP_KINDS = {"image": Kind.IMAGE, "audio": Kind.AUDIO, "video": Kind.VIDEO}
_NAMED_KINDS = {
    "text": Kind.TEXT,
    "image": Kind.IMAGE,
    "audio": Kind.AUDIO,
    "video": Kind.VIDEO,
    "document": Kind.DOCUMENT,
    "sticker": Kind.STICKER,
    "location": Kind.LOCATION,
    "contacts": Kind.CONTACT,
    "button": Kind.BUTTON,
}


def has_its_form(fields: dict[str, Any]) -> bool:
    """Whether anything in it is a field of Twilio's messages."""
    return not FIELDS.isdisjoint(fields)


def is_status(fields: dict[str, Any]) -> bool:
    """Whether it tells how a message fares that went out."""
    return _status_of(fields) not in ("", "received")


def kind_of_status(fields: dict[str, Any]) -> str:
    """What it is counted as: Twilio finds out only later that a message cannot be delivered."""
    if integer_of(fields.get("ErrorCode")) == OUTSIDE_WINDOW:
        return "outside_window"
    return "undelivered" if _status_of(fields) in ("failed", "undelivered") else "receipt"


def _status_of(fields: dict[str, Any]) -> str:
    return first_text(fields.get("MessageStatus"), fields.get("SmsStatus")).strip().lower()


def is_reaction(fields: dict[str, Any]) -> bool:
    """Whether it only reacts to a message: no answer is due. Most come as texts, and are texts."""
    return text_of(fields.get("MessageType")).strip().lower() == "reaction"


def spellings_of(number: str | None) -> list[str]:
    """A number with and without its channel: settings may have either."""
    if number is None:
        return []
    bare = number.partition(":")[2] or number
    return [bare, f"{WHATSAPP}{bare}"]


def is_sender(sender: str) -> bool:
    """
    Whether Twilio may know a sender by this name, and name it so in its webhooks.

    A number has its ``+``, but for short codes; a name has letters, and is for SMS alone.
    """
    channel, colon, bare = sender.rpartition(":")
    if colon and f"{channel.lower()}:" != WHATSAPP:
        return True  # the others' identities are of their own form
    is_name = not colon and any(each.isalpha() for each in bare)
    is_short = not colon and _SHORT_CODE.fullmatch(bare)
    return is_name or bool(is_short or _NUMBER.fullmatch(bare))


def read_message(
    fields: dict[str, Any], recipient: Recipient, options: ParseOptions
) -> tuple[Message, ...]:
    """The message, then its further files as ``<sid>:1``, ...; none where nobody wrote it."""
    phone = _digits(fields.get("WaId"))
    sender = identifier_of(fields.get("From")) or (f"{WHATSAPP}+{phone}" if phone else "")
    user = _user_of(sender, fields)
    if not user:
        return ()
    message_id = _message_id(fields)
    media = _media_of(fields)
    kind = _kind_of(fields, media)
    text = _text_of(fields, kind)
    raw = storable(fields, options.media_inline_bytes) if recipient.store_raw else None

    def message(number: int, kind: Kind, text: str, media: Media | None) -> Message:
        return Message(
            instance=recipient.instance,
            connection=recipient.connection,
            user=user,
            message_id=f"{message_id}:{number}" if number else message_id,
            text=text,
            kind=kind,
            received_at=options.received_at,  # Twilio tells no time
            media=media,
            quoted=identifier_of(fields.get("OriginalRepliedMessageSid")) or None,
            name=first_text(fields.get("ProfileName")) or None,
            reply_to=sender,
            provider=NAME,
            raw=None if number else raw,
        )

    first = message(0, kind, text, media[0] if media else None)
    further = enumerate(media[1:], start=1)
    return (first, *(message(at, _kind_of_file(file), "", file) for at, file in further))


def _user_of(sender: str, fields: dict[str, Any]) -> str:
    """
    On WhatsApp the phone's digits, else the id that stands for a phone that is kept back; on
    other channels the address as it is.
    """
    if not sender.lower().startswith(WHATSAPP):
        return sender
    address = sender[len(WHATSAPP) :].strip()
    phone = _digits(address) or _digits(fields.get("WaId"))
    return phone or identifier_of(fields.get("ExternalUserId")) or address


def _digits(value: Any) -> str:
    digits = identifier_of(value).removeprefix("+")
    return digits if digits.isascii() and digits.isdigit() else ""


def _message_id(fields: dict[str, Any]) -> str:
    """The sid; of a message that has none, what its fields come to."""
    for name in _SIDS:
        if sid := identifier_of(fields.get(name)):
            return sid
    return hashed_id(fields)


def _media_of(fields: dict[str, Any]) -> list[Media]:
    """Every file in order, whatever ``NumMedia`` says."""
    numbers = sorted({int(match[1]) for name in fields if (match := _MEDIA_URL.fullmatch(name))})
    caption = first_text(fields.get("Body")) or None
    found: list[Media] = []
    for number in numbers:
        url = web_url(fields.get(f"MediaUrl{number}"))
        if url is None:
            continue
        own_id = url.partition("?")[0].rpartition("/")[2]
        found.append(
            Media(
                url=url,
                id=own_id if own_id.startswith("ME") else None,
                mime=first_text(fields.get(f"MediaContentType{number}")).strip() or None,
                caption=None if found else caption,
            )
        )
    return found


def _kind_of(fields: dict[str, Any], media: Sequence[Media]) -> Kind:
    named = text_of(fields.get("MessageType")).strip().lower()
    if media:
        return Kind.STICKER if named == "sticker" else _kind_of_file(media[0])
    if _point(fields):
        return Kind.LOCATION
    if first_text(fields.get("ListId"), fields.get("ListTitle")):
        return Kind.LIST
    if first_text(fields.get("ButtonText"), fields.get("ButtonPayload")):
        return Kind.BUTTON
    if named:
        return _NAMED_KINDS.get(named, Kind.UNKNOWN)
    lost_files = integer_of(fields.get("NumMedia")) or 0
    return Kind.TEXT if "Body" in fields and not lost_files else Kind.UNKNOWN


def _kind_of_file(file: Media) -> Kind:
    mime = (file.mime or "").partition(";")[0].strip().lower()
    if mime in _CARDS:
        return Kind.CONTACT
    if mime == "application/ogg":
        return Kind.AUDIO
    top = mime.partition("/")[0]
    return _TOP_KINDS.get(top, Kind.DOCUMENT) if top else Kind.UNKNOWN


def _text_of(fields: dict[str, Any], kind: Kind) -> str:
    body = text_of(fields.get("Body"))
    if kind is Kind.LOCATION:
        told = map(text_of, (_point(fields), fields.get("Label"), fields.get("Address"), body))
        return lines(*dict.fromkeys(told))
    if kind is Kind.LIST:
        return first_text(body, fields.get("ListTitle"), fields.get("ListId"))
    if kind is Kind.BUTTON:
        return first_text(body, fields.get("ButtonText"), fields.get("ButtonPayload"))
    return body


def _point(fields: dict[str, Any]) -> str:
    return point(fields, "Latitude", "Longitude")
