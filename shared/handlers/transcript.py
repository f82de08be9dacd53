"""
A window in words, for a model: what was said, and in brackets what was sent besides.

    are you open on friday?
    [voice note, 12 s]
    [document: menu.pdf]
"""

from __future__ import annotations

from msgspec import Struct

from shared.model import Kind, Media, Message, Window

NAME_MAX_CHARS = 100

_NAMES = {
    Kind.AUDIO: "voice note",
    Kind.BUTTON: "pressed button",
    Kind.CONTACT: "contact",
    Kind.DOCUMENT: "document",
    Kind.IMAGE: "image",
    Kind.LIST: "chosen row",
    Kind.LOCATION: "location",
    Kind.REACTION: "reaction",
    Kind.STICKER: "sticker",
    Kind.UNKNOWN: "message of an unknown kind",
    Kind.VIDEO: "video",
}
_FILES = frozenset({Kind.AUDIO, Kind.DOCUMENT, Kind.IMAGE, Kind.STICKER, Kind.VIDEO})

_PRIVATE_URLS = frozenset({"whatsapp", "waha"})
"""Providers that give media out to who has the account's credentials, which a model has not."""


class Picture(Struct, frozen=True, kw_only=True, gc=False):
    """An image that a model can be shown: its bytes as base64, or else where they can be had."""

    mime: str
    data: str | None
    url: str | None


def words_of(window: Window) -> str:
    """What the window says, a message after the other in the order they were sent; never empty."""
    return "\n".join(_words(entry.message) for entry in window.in_sent_order())


def pictures_of(window: Window) -> list[Picture]:
    """The window's images that can be shown, in the order they were sent."""
    messages = [entry.message for entry in window.in_sent_order()]
    found = [_picture(message) for message in messages if message.kind is Kind.IMAGE]
    return [picture for picture in found if picture is not None]


def _words(message: Message) -> str:
    said = message.text.strip()
    is_said_whole = message.kind not in _FILES and bool(said)
    if is_said_whole:
        return message.text
    note = _note(message.kind, message.media)
    return f"{note}\n{message.text}" if said else note


def _note(kind: Kind, media: Media | None) -> str:
    note = _NAMES.get(kind, "empty message")
    if media is None:
        return f"[{note}]"
    if media.name:
        # A name is the sender's own: it must not look like the note's end.
        name = "".join(char if char.isprintable() else " " for char in media.name)
        note += f": {name[:NAME_MAX_CHARS].translate({ord('['): '(', ord(']'): ')'})}"
    if media.duration_s:
        note += f", {media.duration_s} s"
    return f"[{note}]"


def _picture(message: Message) -> Picture | None:
    media = message.media
    if media is None:
        return None
    mime = (media.mime or "image/jpeg").partition(";")[0].strip().lower()
    if not mime.startswith("image/"):
        return None
    is_open = message.provider not in _PRIVATE_URLS
    if media.data:
        return Picture(mime=mime, data=media.data, url=None)
    if media.url and is_open and media.url.startswith(("https://", "http://")):
        return Picture(mime=mime, data=None, url=media.url)
    return None
