"""
One item of an event: a message in the form of ``POST /api/v1/messages``, read generously.

There a mistake is told to the programmer who makes it. Here somebody else's service sends, again
and again for days, so only what a message cannot do without is asked for: who wrote it, and that
it says something. A field that cannot be read counts as absent, one that is not known as none.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import orjson

from shared.message_form import (
    ID_MAX_CHARS,
    KINDS,
    NAME_MAX_CHARS,
    TIME_MAX_MS,
    URL_MAX_CHARS,
    is_user,
    kind_of_media,
)
from shared.model import Group, Kind, Media, Message
from shared.providers import Echo, ParseOptions, Recipient
from shared.providers.raw import storable
from shared.providers.standard_event import Event, moment_of
from shared.providers.values import (
    base64_of,
    decoded_size,
    first_text,
    integer_of,
    text_of,
    web_url,
)

NAME = "standard"

_RAW_BYTES_FIELDS = frozenset({"data"})


def read_item(
    item: dict[str, Any], number: int, event: Event, recipient: Recipient, options: ParseOptions
) -> Message | Echo | str | None:
    """
    What an item with a ``user`` that can be one is: a message, an echo, the kind it counts as.

    None: it says nothing.

    ``number`` is its place in the event.
    """
    user, message_id = text_of(item["user"]), _id_of(item, number, event)
    if event.is_echo:
        return Echo(instance=recipient.instance, user=user, message_id=message_id)
    group_id = _short(item.get("group"), ID_MAX_CHARS)
    if group_id is not None and not recipient.groups:
        return "group"
    media = _media_in(item.get("media"), options.media_inline_bytes)
    text = text_of(item.get("text"))
    if not text and media is None and not first_text(item.get("kind")):
        return None
    raw_bytes = options.media_inline_bytes
    return Message(
        instance=recipient.instance,
        connection=recipient.connection,
        user=user if group_id is None else f"{group_id}/{user}",
        message_id=message_id,
        text=text,
        kind=_kind_of(item.get("kind"), media),
        sent_at=_sent_at(item, event),
        received_at=options.received_at,
        media=media,
        quoted=_short(item.get("quoted"), ID_MAX_CHARS),
        name=_short(item.get("name"), NAME_MAX_CHARS),
        reply_to=_short(item.get("reply_to"), URL_MAX_CHARS) or group_id,
        provider=NAME,
        group=None if group_id is None else Group(id=group_id, author=user),
        raw=storable(item, raw_bytes, _RAW_BYTES_FIELDS) if recipient.store_raw else None,
    )


def has_user(item: Any) -> bool:
    """Whether an item says who it is about, in a form that can name a user."""
    return isinstance(item, dict) and is_user(text_of(item.get("user")))


def _id_of(item: dict[str, Any], number: int, event: Event) -> str:
    """
    The message's own id; else the event's, and its place where it is one of several.

    What has neither, but a time, is known by what it says: the same again is the same message.
    Without a time "yes" and another "yes" could not be told apart, so each is its own.
    """
    found = first_text(item.get("message_id"))
    if not found and event.id is not None:
        found = event.id if len(event.items) == 1 else f"{event.id}:{number}"
    if found:
        return found if len(found) <= ID_MAX_CHARS else _id_from(found.encode())
    if _sent_at(item, event) is not None:
        return _id_from(orjson.dumps([event.sent_at, number, item]))
    return f"{NAME}_{uuid.uuid4().hex}"


def _id_from(known_by: bytes) -> str:
    return f"{NAME}_{hashlib.blake2b(known_by, digest_size=16).hexdigest()}"


def _sent_at(item: dict[str, Any], event: Event) -> int | None:
    given = item.get("sent_at")
    at = moment_of(given)
    if at is None:
        at = integer_of(given)
    return at if at is not None and at <= TIME_MAX_MS else event.sent_at


def _kind_of(name: Any, media: Media | None) -> Kind:
    said = first_text(name).strip().lower()
    if said:
        return KINDS.get(said, Kind.UNKNOWN)
    return Kind.TEXT if media is None else kind_of_media(media)


def _media_in(value: Any, inline_bytes: int) -> Media | None:
    if not isinstance(value, dict):
        return None
    data = base64_of(value.get("data"))
    actual_bytes = None if data is None else decoded_size(data)
    is_cut = actual_bytes is not None and actual_bytes > inline_bytes
    declared_bytes = integer_of(value.get("size_bytes"))
    return Media(
        url=web_url(_short(value.get("url"), URL_MAX_CHARS)),
        id=_short(value.get("id"), URL_MAX_CHARS),
        mime=_short(value.get("mime"), NAME_MAX_CHARS),
        caption=first_text(value.get("caption")) or None,
        name=_short(value.get("name"), NAME_MAX_CHARS),
        size_bytes=actual_bytes if declared_bytes is None else declared_bytes,
        duration_s=integer_of(value.get("duration_s")),
        data=None if is_cut else data,
        omitted=is_cut or value.get("omitted") is True,
    )


def _short(value: Any, max_chars: int) -> str | None:
    text = first_text(value)
    return text if text and len(text) <= max_chars else None
