"""
One item of an entry's ``messaging``: a message, a pressed button, an echo, or what is counted.

A message with several attachments becomes several: Meta sends an album as one. The first has the
message's own id and its text. Nothing here raises: values of any type stand anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from shared.model import Kind, Media, Message
from shared.providers import Echo, ParseOptions, Recipient
from shared.providers.meta import id_of, moment_ms, name_of
from shared.providers.raw import storable
from shared.providers.values import first_text, is_true, lines, object_of, point, text_of, web_url

NAME = "messenger"
INSTAGRAM = "instagram:"
"""What addresses of Instagram's users begin with."""

_SIGNALS = {
    "message_edit": "edit",
    "reaction": "reaction",
    "delivery": "receipt",
    "read": "receipt",
}
"""Members that say what an item is, and the kind it is counted as; any other is ``other``."""

ITEM_KINDS = frozenset({*_SIGNALS.values(), "deletion", "malformed", "duplicate", "other"})
"""Every kind that ``read_item`` may count an item as."""

_KINDS = {
    "image": Kind.IMAGE,
    "video": Kind.VIDEO,
    "audio": Kind.AUDIO,
    "file": Kind.DOCUMENT,
    "sticker": Kind.STICKER,
    "like_heart": Kind.STICKER,
    "location": Kind.LOCATION,
}


def read_item(
    item: dict[str, Any],
    account: str | None,
    platform: str,
    recipient: Recipient,
    options: ParseOptions,
) -> Sequence[Message | Echo | str]:
    """Its messages, its echo, or the kind that it is ignored as."""
    message = item.get("message")
    if message is None and item.get("postback") is None:
        return [next((kind for name, kind in _SIGNALS.items() if name in item), "other")]
    said = object_of(message)
    if is_true(said.get("is_deleted")):
        return ["deletion"]
    user = name_of(object_of(item.get("sender")).get("id"))
    if is_true(said.get("is_echo")) or (user is not None and user == account):
        return [_echo(item, said, recipient)]
    if user is None:
        return ["malformed"]
    blank = Message(
        instance=recipient.instance,
        connection=recipient.connection,
        user=user,
        message_id="",
        sent_at=moment_ms(item.get("timestamp")),
        received_at=options.received_at,
        reply_to=f"{INSTAGRAM}{user}" if platform == "instagram" else user,
        provider=NAME,
        raw=storable(item, options.media_inline_bytes) if recipient.store_raw else None,
    )
    if message is None:
        return [_pressed(blank, item)]
    return list(_told(blank, item, said))


def _echo(item: dict[str, Any], said: dict[str, Any], recipient: Recipient) -> Echo | str:
    user = name_of(object_of(item.get("recipient")).get("id"))
    if user is None:
        return "malformed"
    return Echo(instance=recipient.instance, user=user, message_id=id_of(said.get("mid"), item))


def _pressed(blank: Message, item: dict[str, Any]) -> Message:
    """A button of a template, of the menu, or "Get Started"; older ones have no ``mid``."""
    postback = object_of(item.get("postback"))
    mid = first_text(postback.get("mid"))
    return replace(
        blank,
        message_id=id_of(mid and f"postback:{mid}", item, "postback"),
        kind=Kind.BUTTON,
        text=first_text(postback.get("title"), postback.get("payload"), item.get("postback")),
    )


def _told(blank: Message, item: dict[str, Any], said: dict[str, Any]) -> Iterator[Message]:
    message_id = id_of(said.get("mid"), item)
    text = first_text(said.get("text"), item.get("message"))
    first = replace(blank, message_id=message_id, quoted=_quoted(said))
    files = list(_attachments(said))
    choice = object_of(said.get("quick_reply"))
    if choice:
        text = first_text(text, choice.get("payload"))
    if not files:
        kind = Kind.BUTTON if choice else Kind.TEXT if text else Kind.UNKNOWN
        yield replace(first, text=text, kind=kind)
        return
    for index, attachment in enumerate(files):
        kind, own_text, media = _read_attachment(attachment, text if index == 0 else "")
        yield replace(
            first,
            message_id=f"{message_id}:{index}" if index else message_id,
            text=own_text,
            kind=kind,
            media=media,
        )


def _quoted(said: dict[str, Any]) -> str | None:
    """The message that this one answers, or the story."""
    of = object_of(said.get("reply_to"))
    return first_text(of.get("mid"), object_of(of.get("story")).get("id")) or None


def _attachments(said: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The attachments; a sticker that comes a second time, as an image, is left out."""
    listed = said.get("attachments")
    found = [object_of(each) for each in listed] if isinstance(listed, list) else []
    stickers = {_sticker_id(each) for each in found if text_of(each.get("type")) == "sticker"}
    for attachment in found:
        is_sticker = text_of(attachment.get("type")) == "sticker"
        if is_sticker or not _sticker_id(attachment) or _sticker_id(attachment) not in stickers:
            yield attachment


def _sticker_id(attachment: dict[str, Any]) -> str:
    return first_text(object_of(attachment.get("payload")).get("sticker_id"))


def _read_attachment(attachment: dict[str, Any], text: str) -> tuple[Kind, str, Media | None]:
    """
    Kind, text and media. ``text`` is what stands beside it.

    A link that the user wrote comes as ``fallback`` beside its text, which stays a text.
    """
    type_name, payload = text_of(attachment.get("type")), object_of(attachment.get("payload"))
    title = first_text(payload.get("title"), attachment.get("title"))
    url = web_url(payload.get("url")) or web_url(attachment.get("url"))
    if type_name == "location":
        return (
            Kind.LOCATION,
            lines(text, point(object_of(payload.get("coordinates")), "lat", "long"), title),
            None,
        )
    if type_name == "fallback":
        return (Kind.TEXT, text, None) if text else (Kind.UNKNOWN, lines(title, url or ""), None)
    kind = _KINDS.get(type_name, Kind.UNKNOWN)
    if kind is Kind.IMAGE and _sticker_id(attachment):
        kind = Kind.STICKER
    if kind is Kind.UNKNOWN:
        text = text or title
    name = title if kind is Kind.DOCUMENT else first_text(payload.get("name"))
    media_id = first_text(payload.get("attachment_id"), _sticker_id(attachment))
    if not url and not media_id:
        return kind, text, None
    return kind, text, Media(url=url, id=media_id or None, caption=text or None, name=name or None)
