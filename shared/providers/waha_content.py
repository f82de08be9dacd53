"""
What a WAHA message says: kind, text, media, quoted message.

WAHA tells text, file, place and cards; what sort of message it is, only its engine knows: WEBJS by
a ``type``, NOWEB and GOWS by WhatsApp's own message, which has the shapes that Evolution passes on
too. Where the engine is silent the file's MIME type tells. Nothing here raises.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from shared.model import Kind, Media
from shared.providers.evolution_content import Content, open_content, text_in
from shared.providers.values import (
    FILE_KINDS,
    base64_of,
    decoded_size,
    first_text,
    integer_of,
    lines,
    object_of,
    point,
    text_of,
    web_url,
)

_WEBJS_KINDS = {
    "chat": Kind.TEXT,
    "image": Kind.IMAGE,
    "video": Kind.VIDEO,
    "gif": Kind.VIDEO,
    "ptv": Kind.VIDEO,
    "audio": Kind.AUDIO,
    "ptt": Kind.AUDIO,
    "document": Kind.DOCUMENT,
    "sticker": Kind.STICKER,
    "location": Kind.LOCATION,
    "vcard": Kind.CONTACT,
    "multi_vcard": Kind.CONTACT,
    "buttons_response": Kind.BUTTON,
    "template_button_reply": Kind.BUTTON,
    "interactive_response": Kind.BUTTON,
    "list_response": Kind.LIST,
}

_NOT_A_TURN = {
    "call_log": "call",
    "call": "call",
    "callLogMesssage": "call",  # WhatsApp's own spelling
    "bcallMessage": "call",
    "reaction": "reaction",
    "reactionMessage": "reaction",
    "encReactionMessage": "reaction",
    "poll_vote": "poll",
    "pollUpdateMessage": "poll",
    "revoked": "deletion",
    "protocol": "service",
    "protocolMessage": "service",
    "e2e_notification": "service",
    "notification": "service",
    "notification_template": "service",
    "gp2": "service",
    "ciphertext": "waiting",
}
"""What an engine calls things that no answer is due for, and the kind each is counted as."""

CONTENT_KINDS = frozenset(_NOT_A_TURN.values())

_FILE_KINDS = {"image": Kind.IMAGE, "video": Kind.VIDEO, "audio": Kind.AUDIO}
_CARD_NAME = re.compile(r"^FN[^:\n]{0,200}:([^\r\n]+)", re.MULTILINE)


class Said(Struct, frozen=True, kw_only=True):
    """
    What a message says.

    ``ignored_as`` is the kind of what no answer is due for.
    """

    kind: Kind = Kind.UNKNOWN
    text: str = ""
    media: Media | None = None
    quoted: str | None = None
    ignored_as: str | None = None


def read_content(payload: dict[str, Any], message_id: str, inline_bytes: int) -> Said:
    """What ``payload`` says; files above ``inline_bytes`` lose their bytes, not their message."""
    data = object_of(payload.get("_data"))
    content = open_content(
        object_of(data.get("message")) or object_of(data.get("Message")), data.get("messageType")
    )
    webjs_type = text_of(data.get("type"))
    for name in (webjs_type, content.type_name):
        if name in _NOT_A_TURN:
            return Said(ignored_as=_NOT_A_TURN[name])
    file = object_of(payload.get("media"))
    kind = _kind_of(payload, file, _WEBJS_KINDS.get(webjs_type, content.kind))
    has_file = kind in FILE_KINDS or bool(file) or payload.get("hasMedia") is True
    media = _media_in(payload, file, content, message_id, inline_bytes) if has_file else None
    return Said(
        kind=kind,
        text=_text_in(payload, kind, content),
        media=media,
        quoted=_quoted(payload.get("replyTo")),
    )


def _kind_of(payload: dict[str, Any], file: dict[str, Any], told: Kind) -> Kind:
    if told is not Kind.UNKNOWN:
        return told
    if mime := text_of(file.get("mimetype")):
        return _FILE_KINDS.get(mime.partition("/")[0], Kind.DOCUMENT)
    if _place(payload):
        return Kind.LOCATION
    if _cards(payload):
        return Kind.CONTACT
    is_text = first_text(payload.get("body")) and payload.get("hasMedia") is not True
    return Kind.TEXT if is_text else Kind.UNKNOWN


def _text_in(payload: dict[str, Any], kind: Kind, content: Content) -> str:
    """WEBJS puts a place's thumbnail into ``body``, and a card's vCard: there it comes last."""
    body, told = first_text(payload.get("body")), text_in(content)
    if kind is Kind.LOCATION:
        return _place(payload) or told
    if kind is Kind.CONTACT:
        return _cards(payload) or told or body
    return body or told


def _place(payload: dict[str, Any]) -> str:
    place = object_of(payload.get("location"))
    where = point(place, "latitude", "longitude")
    return lines(where, *(place.get(name) for name in ("name", "description", "address")))


def _cards(payload: dict[str, Any]) -> str:
    listed = payload.get("vCards")
    told: list[str] = []
    for card in map(text_of, listed if isinstance(listed, list) else []):
        name = _CARD_NAME.search(card)
        told += [name[1].strip() if name else "", card]
    return lines(*told)


def _quoted(reply_to: Any) -> str | None:
    told = reply_to.get("id") if isinstance(reply_to, dict) else reply_to
    if isinstance(told, dict):
        told = told.get("_serialized")
    return first_text(told) or None


def _media_in(
    payload: dict[str, Any],
    file: dict[str, Any],
    content: Content,
    message_id: str,
    inline_bytes: int,
) -> Media:
    """
    The file. ``url`` asks for WAHA's API key; without one ``id`` finds it through the API.

    ``url`` may also be missing because WAHA could not, or was told not to, fetch the file.
    """
    data = object_of(payload.get("_data"))
    url = first_text(file.get("url"), payload.get("mediaUrl"))
    inline = base64_of(file.get("data")) or base64_of(url if url.startswith("data:") else None)
    omitted = inline is not None and decoded_size(inline) > inline_bytes
    sizes = (file.get("filesize"), file.get("size"), content.body.get("fileLength"))
    size = next((size for size in map(integer_of, (*sizes, data.get("size"))) if size), None)
    return Media(
        url=web_url(url),
        id=message_id,
        mime=first_text(file.get("mimetype"), content.body.get("mimetype"), data.get("mimetype"))
        or None,
        caption=first_text(payload.get("body"), content.body.get("caption")) or None,
        name=first_text(file.get("filename"), content.body.get("fileName"), data.get("filename"))
        or None,
        size_bytes=decoded_size(inline) if size is None and inline else size,
        duration_s=integer_of(content.body.get("seconds")) or integer_of(data.get("duration")),
        data=None if omitted else inline,
        omitted=omitted,
    )
