"""
What a WhatsApp message says: kind, text, media, quoted message.

The shapes are Baileys' protobuf as JSON, the way Evolution passes them on: an object whose first
telling key names the type (``imageMessage``), possibly inside wrappers (``ephemeralMessage``),
with siblings that Evolution adds (``base64``, ``mediaUrl``, ``speechToText``). Nothing here
raises: a type that no rule explains is ``Kind.UNKNOWN`` with what text it has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from shared.model import Kind, Media
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

_KINDS = {
    "conversation": Kind.TEXT,
    "extendedTextMessage": Kind.TEXT,
    "imageMessage": Kind.IMAGE,
    "videoMessage": Kind.VIDEO,
    "ptvMessage": Kind.VIDEO,
    "audioMessage": Kind.AUDIO,
    "documentMessage": Kind.DOCUMENT,
    "stickerMessage": Kind.STICKER,
    "locationMessage": Kind.LOCATION,
    "liveLocationMessage": Kind.LOCATION,
    "contactMessage": Kind.CONTACT,
    "contactsArrayMessage": Kind.CONTACT,
    "buttonsResponseMessage": Kind.BUTTON,
    "templateButtonReplyMessage": Kind.BUTTON,
    "interactiveResponseMessage": Kind.BUTTON,
    "listResponseMessage": Kind.LIST,
}

NOT_A_TURN = {
    "reactionMessage": "reaction",
    "encReactionMessage": "reaction",
    "pollUpdateMessage": "poll",
    "editedMessage": "edit",
    "protocolMessage": "other",
}
"""Types that no answer is due for, and the kind each is counted as; ``change_in`` says more."""

_KNOWN_TYPES = _KINDS.keys() | NOT_A_TURN.keys()

_WRAPPERS = (
    "ephemeralMessage",
    "viewOnceMessage",
    "viewOnceMessageV2",
    "viewOnceMessageV2Extension",
    "documentWithCaptionMessage",
    "associatedChildMessage",
    "lottieStickerMessage",
    "deviceSentMessage",
)
_ANY_WRAPPER = frozenset(_WRAPPERS)
_WRAPPERS_DEEP = 6

_ADDED_BY_EVOLUTION = frozenset({"base64", "mediaUrl", "speechToText"})
_NO_TYPE = _ADDED_BY_EVOLUTION | {"messageContextInfo", "senderKeyDistributionMessage"}
"""Keys beside a message's type that do not name it; each may come first."""

_EDITS = frozenset({"MESSAGE_EDIT", "14"})
_DELETIONS = frozenset({"REVOKE", "0"})


class Content(Struct, frozen=True, kw_only=True, gc=False):
    """
    A message with its wrappers taken off: the type's name, what stands under it, siblings.

    ``kind`` is ``UNKNOWN`` for a type that no rule explains.
    """

    type_name: str
    kind: Kind
    body: dict[str, Any]
    bare: Any
    added: dict[str, Any]


def open_content(message: dict[str, Any], message_type: Any) -> Content:
    """
    Take the wrappers off and find the type.

    ``message_type`` is Evolution's ``messageType``: a hint that may be missing, ``unknown``, a
    wrapper's name, or the name before Evolution flattened ``extendedTextMessage``.
    """
    inner, added = message, _added(message)
    for _ in range(_WRAPPERS_DEEP):
        unwrapped = _unwrapped(inner)
        if unwrapped is None:
            break
        inner = unwrapped
        added = _added(inner) | added
    type_name = _type_in(inner, message_type)
    bare = inner.get(type_name)
    return Content(
        type_name=type_name,
        kind=_KINDS.get(type_name, Kind.UNKNOWN),
        body=object_of(bare),
        bare=bare,
        added=added,
    )


def _added(message: dict[str, Any]) -> dict[str, Any]:
    if _ADDED_BY_EVOLUTION.isdisjoint(message):
        return {}
    return {name: message[name] for name in _ADDED_BY_EVOLUTION if message.get(name) is not None}


def _unwrapped(message: dict[str, Any]) -> dict[str, Any] | None:
    """What stands in a wrapper; beside no type that is known, in one that nobody knows yet."""
    if not _ANY_WRAPPER.isdisjoint(message):
        wrappers = [message.get(name) for name in _WRAPPERS]
    elif _KNOWN_TYPES.isdisjoint(message):
        wrappers = list(message.values())
    else:
        return None
    inners = (object_of(wrapper).get("message") for wrapper in wrappers)
    return next((inner for inner in inners if isinstance(inner, dict)), None)


def _type_in(message: dict[str, Any], message_type: Any) -> str:
    hint = message_type if isinstance(message_type, str) else "unknown"
    if hint in _KNOWN_TYPES and message.get(hint) is not None:
        return hint
    present = [name for name in message if name not in _NO_TYPE and message[name] is not None]
    known = [name for name in present if name in _KNOWN_TYPES]
    if known:
        return known[0]
    return present[0] if present else hint


def text_in(content: Content) -> str:
    """The text that a person would say was sent; empty where there is none."""
    if content.kind is Kind.AUDIO:
        return text_of(content.added.get("speechToText"))
    return _TEXTS.get(content.type_name, _caption_or_any)(content)


def _bare(content: Content) -> str:
    return text_of(content.bare)


def _named(*names: str) -> Callable[[Content], str]:
    return lambda content: first_text(*(content.body.get(name) for name in names))


def _caption_or_any(content: Content) -> str:
    if content.kind is not Kind.UNKNOWN:
        return text_of(content.body.get("caption"))
    names = (
        "text",
        "caption",
        "selectedDisplayText",
        "title",
        "name",
        "displayName",
        "body",
        "message",
    )
    return first_text(content.bare, *(content.body.get(name) for name in names))


def _place(content: Content) -> str:
    body = content.body
    where = point(body, "degreesLatitude", "degreesLongitude")
    return lines(where, *(body.get(name) for name in ("name", "address", "caption")))


def _contacts(content: Content) -> str:
    listed = content.body.get("contacts")
    cards = [content.body, *(listed if isinstance(listed, list) else [])]
    return lines(*(object_of(card).get(key) for card in cards for key in ("displayName", "vcard")))


def _list_choice(content: Content) -> str:
    row = object_of(content.body.get("singleSelectReply")).get("selectedRowId")
    return first_text(content.body.get("title"), content.body.get("description"), row)


def _flow_answer(content: Content) -> str:
    flow = object_of(content.body.get("nativeFlowResponseMessage"))
    return first_text(object_of(content.body.get("body")).get("text"), flow.get("name"))


_TEXTS: dict[str, Callable[[Content], str]] = {
    "conversation": _bare,
    "extendedTextMessage": _named("text"),
    "locationMessage": _place,
    "liveLocationMessage": _place,
    "contactMessage": _contacts,
    "contactsArrayMessage": _contacts,
    "buttonsResponseMessage": _named("selectedDisplayText", "selectedButtonId"),
    "templateButtonReplyMessage": _named("selectedDisplayText", "selectedId"),
    "interactiveResponseMessage": _flow_answer,
    "listResponseMessage": _list_choice,
}


def change_in(protocol: dict[str, Any]) -> str:
    """
    What a ``protocolMessage`` does to a message: ``edit``, ``deletion``, or something ``other``.

    Its type is a name or a number, and 0 (a deletion) may be left out by encoders.
    """
    name = text_of(protocol.get("type")).upper()
    if isinstance(protocol.get("editedMessage"), dict) or name in _EDITS:
        return "edit"
    is_deletion = name in _DELETIONS or (not name and isinstance(protocol.get("key"), dict))
    return "deletion" if is_deletion else "other"


def quoted_in(item: dict[str, Any], content: Content) -> str | None:
    """The id of the message that this one answers: Evolution hoists it, Baileys does not."""
    for context in (item.get("contextInfo"), content.body.get("contextInfo")):
        if isinstance(context, dict) and (quoted := first_text(context.get("stanzaId"))):
            return quoted
    return None


def media_in(content: Content, message_id: str, inline_bytes: int) -> Media | None:
    """
    The file that came with the message, if one did.

    ``id`` is the message's own: what ``/chat/getBase64FromMediaMessage`` asks for. Bytes above
    ``inline_bytes`` are cut out and ``omitted`` says so.
    """
    if content.kind not in FILE_KINDS and not content.added:
        return None
    data = base64_of(content.added.get("base64"))
    stored_url = first_text(content.added.get("mediaUrl"))
    if content.kind not in FILE_KINDS and data is None and not stored_url:
        return None
    body = content.body
    actual_bytes = None if data is None else decoded_size(data)
    omitted = actual_bytes is not None and actual_bytes > inline_bytes
    declared_bytes = integer_of(body.get("fileLength"))
    return Media(
        url=stored_url or _open_url(body.get("url")),
        id=message_id,
        mime=first_text(body.get("mimetype")) or None,
        caption=first_text(body.get("caption")) or None,
        name=first_text(body.get("fileName"), body.get("title")) or None,
        size_bytes=actual_bytes if declared_bytes is None else declared_bytes,
        duration_s=integer_of(body.get("seconds")),
        data=None if omitted else data,
        omitted=omitted,
    )


def _open_url(value: Any) -> str | None:
    """WhatsApp's own addresses serve ciphertext, of no use to a handler."""
    url = web_url(value)
    return None if url is None or (urlsplit(url).hostname or "").endswith("whatsapp.net") else url
