"""
One event ``message`` or ``message.any`` of WAHA: a user's message, an echo, or neither.

Who is subscribed to both events gets a message twice, under one ``payload.id``: it is kept once.
"""

from __future__ import annotations

from typing import Any

from shared.model import Group, Message
from shared.providers import Echo, ParseOptions, Recipient
from shared.providers.raw import storable
from shared.providers.values import first_text, hashed_id, is_true, object_of, seconds_in_ms
from shared.providers.waha_address import (
    IGNORED_DOMAINS,
    MessageKey,
    author_of,
    ignored_chat,
    jid_of,
    key_of,
    receiver_of,
    sender_of,
)
from shared.providers.waha_content import CONTENT_KINDS, Said, read_content

NAME = "waha"

MESSAGE_KINDS = frozenset({"malformed", *IGNORED_DOMAINS.values(), *CONTENT_KINDS})
"""Every kind that ``read_message`` may count something as."""

_RAW_BYTES_FIELDS = frozenset({"data", "JPEGThumbnail", "jpegThumbnail", "thumbnail", "preview"})


def read_message(
    envelope: dict[str, Any], event: str, recipient: Recipient, options: ParseOptions
) -> Message | Echo | str:
    """What the event's ``payload`` is."""
    payload = envelope.get("payload")
    if not isinstance(payload, dict):
        return "malformed"
    key = _key_in(payload)
    elsewhere = ignored_chat(payload, key)
    is_own = _is_own(payload, key, event)
    if elsewhere is not None:
        chat, kind = elsewhere
        if kind != "group" or is_own or not recipient.groups:
            return kind
        author = author_of(payload, key)
        group = Group(id=chat, author=author)
        who, reply_to = f"{chat}/{author}" if author else "", chat
    elif is_own:
        user = receiver_of(payload, key, object_of(envelope.get("me")))
        if not user or not key.raw:
            return "malformed"
        return Echo(instance=recipient.instance, user=user, message_id=key.raw)
    else:
        group, who = None, sender_of(payload, key)
        reply_to = jid_of(payload.get("from")) or key.chat or who
    if not who:
        return "malformed"
    message_id = key.whole or hashed_id(payload)
    said = read_content(payload, message_id, options.media_inline_bytes)
    if said.ignored_as is not None:
        return said.ignored_as
    return _message(payload, who, reply_to, group, message_id, said, recipient, options)


def _message(
    payload: dict[str, Any],
    user: str,
    reply_to: str,
    group: Group | None,
    message_id: str,
    said: Said,
    recipient: Recipient,
    options: ParseOptions,
) -> Message:
    inline_bytes = options.media_inline_bytes
    return Message(
        instance=recipient.instance,
        connection=recipient.connection,
        user=user,
        message_id=message_id,
        text=said.text,
        kind=said.kind,
        sent_at=_sent_at(payload.get("timestamp")),
        received_at=options.received_at,
        media=said.media,
        quoted=said.quoted,
        name=_name_in(payload),
        reply_to=reply_to,
        provider=NAME,
        group=group,
        raw=storable(payload, inline_bytes, _RAW_BYTES_FIELDS) if recipient.store_raw else None,
    )


def _key_in(payload: dict[str, Any]) -> MessageKey:
    """WAHA's id, else the engine's."""
    data = object_of(payload.get("_data"))
    engines = (data.get("id"), object_of(data.get("key")).get("id"))
    found = [key_of(value) for value in (payload.get("id"), *engines, _info(payload).get("ID"))]
    return next((key for key in found if key.whole), found[0])


def _info(payload: dict[str, Any]) -> dict[str, Any]:
    return object_of(object_of(payload.get("_data")).get("Info"))


def _is_own(payload: dict[str, Any], key: MessageKey, event: str) -> bool:
    """
    Whether the account itself wrote it; taken for a user's, a bot would answer itself.

    Where nothing says, ``message`` is what others wrote and ``message.any`` what its id says.
    """
    data = object_of(payload.get("_data"))
    told = (
        payload.get("fromMe"),
        object_of(data.get("key")).get("fromMe"),
        object_of(data.get("id")).get("fromMe"),
        object_of(data.get("Info")).get("IsFromMe"),
    )
    for value in told:
        if value is not None:
            return is_true(value)
    return event == "message.any" and key.is_own


def _sent_at(value: Any) -> int | None:
    """Seconds, with or without a fraction, as ms."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return seconds_in_ms(value)


def _name_in(payload: dict[str, Any]) -> str | None:
    data = object_of(payload.get("_data"))
    names = (data.get("notifyName"), data.get("pushName"), _info(payload).get("PushName"))
    return first_text(payload.get("notifyName"), *names) or None
