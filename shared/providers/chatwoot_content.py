"""
What a Chatwoot message says: its text, and one piece per attachment, in their order.

The text belongs to the first piece. An attachment of a type that no rule explains is
``Kind.UNKNOWN`` with its title and address. Nothing here raises.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from shared.model import Kind, Media
from shared.providers.values import (
    first_text,
    integer_of,
    lines,
    object_of,
    point,
    text_of,
    web_url,
)

_FILE_KINDS = {
    "image": Kind.IMAGE,
    "audio": Kind.AUDIO,
    "video": Kind.VIDEO,
    "file": Kind.DOCUMENT,
    "sticker": Kind.STICKER,
    "location": Kind.LOCATION,
    "contact": Kind.CONTACT,
}
_NO_FILES = frozenset({Kind.LOCATION, Kind.CONTACT})
_TEXT_TYPES = frozenset({"", "text", "incoming_email", "input_text", "input_textarea"})


class Piece(Struct, frozen=True, kw_only=True, gc=False):
    """A part of a message that is handed on as one: ``number`` counts from 0."""

    number: int
    kind: Kind
    text: str
    media: Media | None = None


def pieces_of(payload: dict[str, Any], again: dict[str, Any]) -> list[Piece]:
    """At least one piece. ``again`` is the message as the conversation repeats it."""
    content = first_text(payload.get("content"), again.get("content"))
    files = _attachments(payload) or _attachments(again)
    if not files:
        return [Piece(number=0, kind=_kind_without_file(payload, again, content), text=content)]
    pieces = []
    for number, file in enumerate(files):
        kind = _FILE_KINDS.get(first_text(file.get("file_type")).strip().lower(), Kind.UNKNOWN)
        said = "" if number else content
        media = None if kind in _NO_FILES else _media(file, said)
        pieces.append(Piece(number=number, kind=kind, text=_text(kind, file, said), media=media))
    return pieces


def _attachments(message: dict[str, Any]) -> list[dict[str, Any]]:
    listed = message.get("attachments")
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _kind_without_file(payload: dict[str, Any], again: dict[str, Any], content: str) -> Kind:
    """``content_type`` stays ``text`` also where a file has got lost: then there is no content."""
    named = first_text(payload.get("content_type"), again.get("content_type")).strip().lower()
    if named == "sticker":
        return Kind.STICKER
    return Kind.TEXT if content and named in _TEXT_TYPES else Kind.UNKNOWN


def _text(kind: Kind, file: dict[str, Any], said: str) -> str:
    if kind is Kind.AUDIO:
        return said or first_text(file.get("transcribed_text"))
    if kind is Kind.LOCATION:
        return _lines(_point(file), text_of(file.get("fallback_title")), said)
    if kind is Kind.CONTACT:
        return _lines(_full_name(file), text_of(file.get("fallback_title")), said)
    return _lines(said, text_of(file.get("fallback_title")))


def _lines(*texts: str) -> str:
    return lines(*dict.fromkeys(texts))


def _point(file: dict[str, Any]) -> str:
    """``lat,long``; both are 0 where the channel gave none."""
    names = ("coordinates_lat", "coordinates_long")
    return point(file, *names) if any(file.get(name) for name in names) else ""


def _full_name(file: dict[str, Any]) -> str:
    meta = object_of(file.get("meta"))
    names = (
        first_text(meta.get("firstName"), meta.get("first_name")),
        first_text(meta.get("lastName"), meta.get("last_name")),
    )
    return " ".join(name for name in names if name)


def _media(file: dict[str, Any], said: str) -> Media:
    mime = first_text(file.get("content_type"))
    return Media(
        url=web_url(file.get("data_url")) or web_url(file.get("external_url")),
        id=text_of(file.get("id")) or None,
        mime=mime if "/" in mime else None,
        caption=said or None,
        name=first_text(file.get("file_name"), file.get("filename")) or None,
        size_bytes=integer_of(file.get("file_size")),
    )
