"""
A Telegram message, or a press of a button, as a ``Message``; or the kind it is ignored as.

In a private chat the chat's id is the user's. Ids go beyond 32 bits; groups' are negative.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from shared.model import Group, Kind, Message
from shared.providers import ParseOptions, Recipient
from shared.providers.raw import storable
from shared.providers.telegram_content import (
    is_service,
    kind_of,
    media_in,
    person_name,
    text_in,
)
from shared.providers.values import (
    first_text,
    hashed_id,
    identifier_of,
    integer_of,
    object_of,
    seconds_in_ms,
)

NAME = "telegram"
CALLBACK = "callback:"
"""Before the id of a button press, which is no message's."""

MESSAGE_KINDS = frozenset({"group", "broadcast", "bot", "service", "malformed"})
"""Every kind that the readers here may count something as."""

ID_DIGITS_MAX = 20


def read_message(
    message: dict[str, Any], update_id: str, recipient: Recipient, options: ParseOptions
) -> Message | str:
    """What ``message`` of an update says."""
    chat, author = object_of(message.get("chat")), object_of(message.get("from"))
    who = _writer(chat, author, recipient)
    if isinstance(who, str):
        return who
    if message.get("is_automatic_forward") is True:
        return "broadcast"  # a channel's post, in the group that discusses it
    if is_service(message):
        return "service"
    return Message(
        instance=recipient.instance,
        connection=recipient.connection,
        user=who.user,
        message_id=_message_id(message, update_id),
        text=text_in(message),
        kind=kind_of(message),
        sent_at=seconds_in_ms(integer_of(message.get("date"))),
        received_at=options.received_at,
        media=media_in(message),
        quoted=_quoted(message),
        name=person_name(author) or person_name(chat) or None,
        reply_to=_address(who.chat, message),
        provider=NAME,
        group=who.group,
        raw=storable(message, options.media_inline_bytes) if recipient.store_raw else None,
    )


def read_callback(
    query: dict[str, Any], update_id: str, recipient: Recipient, options: ParseOptions
) -> Message | str:
    """
    A press of an inline button.

    Its message, which the bot wrote and which tells the chat, may be absent. Telegram says of no
    press when it was.
    """
    shown, author = object_of(query.get("message")), object_of(query.get("from"))
    who = _writer(object_of(shown.get("chat")), author, recipient)
    if isinstance(who, str):
        return who
    press = identifier_of(query.get("id")) or _stand_in(query, update_id)
    return Message(
        instance=recipient.instance,
        connection=recipient.connection,
        user=who.user,
        message_id=CALLBACK + press,
        text=first_text(query.get("data"), query.get("game_short_name")),
        kind=Kind.BUTTON,
        received_at=options.received_at,
        quoted=id_of(shown.get("message_id")) or None,
        name=person_name(author) or None,
        reply_to=_address(who.chat, shown),
        provider=NAME,
        group=who.group,
        raw=storable(query, options.media_inline_bytes) if recipient.store_raw else None,
    )


class Writer(Struct, frozen=True, kw_only=True, gc=False):
    """Whose message it is, and the chat that an answer goes to."""

    user: str
    chat: str
    group: Group | None = None


def _writer(chat: dict[str, Any], author: dict[str, Any], recipient: Recipient) -> Writer | str:
    chat_id, author_id = id_of(chat.get("id")), id_of(author.get("id"))
    sort = _sort_of(chat, chat_id)
    if sort == "channel":
        return "broadcast"
    if sort == "group" and not recipient.groups:
        return "group"
    if author.get("is_bot") is True:
        return "bot"
    if sort == "group":
        if not (chat_id and author_id):
            return "malformed"
        group = Group(id=chat_id, author=author_id)
        return Writer(user=f"{chat_id}/{author_id}", chat=chat_id, group=group)
    user = chat_id or author_id
    return Writer(user=user, chat=user) if user else "malformed"


def _sort_of(chat: dict[str, Any], chat_id: str) -> str:
    """``private``, ``group`` or ``channel``; a chat of no known type is told by its id."""
    sort = chat.get("type")
    if sort in ("group", "supergroup"):
        return "group"
    if sort in ("private", "channel"):
        return str(sort)
    return "group" if chat_id.startswith("-") else "private"


def id_of(value: Any) -> str:
    """A chat's, a user's or a message's id as text; empty if it is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    text = str(value).strip() if isinstance(value, str) or abs(value) < 2**63 else ""
    digits = text.removeprefix("-")
    readable = digits.isascii() and digits.isdigit() and len(digits) <= ID_DIGITS_MAX
    return text if readable else ""


def _message_id(message: dict[str, Any], update_id: str) -> str:
    message_id = id_of(message.get("message_id"))
    return message_id if message_id.strip("0") else _stand_in(message, update_id)


def _stand_in(item: dict[str, Any], update_id: str) -> str:
    """An id for what came without one: the same whenever Telegram sends it again."""
    return f"update:{update_id}" if update_id else hashed_id(item)


def _quoted(message: dict[str, Any]) -> str | None:
    """What is answered; all that is written in a topic answers the topic's first message."""
    quoted = id_of(object_of(message.get("reply_to_message")).get("message_id"))
    return quoted if quoted and quoted != _topic_of(message) else None


def _topic_of(message: dict[str, Any]) -> str:
    is_in_topic = message.get("is_topic_message") is True
    return id_of(message.get("message_thread_id")) if is_in_topic else ""


def _address(chat_id: str, message: dict[str, Any]) -> str:
    """``<chat>``, or ``<chat>:<topic>`` in a chat with topics."""
    topic = _topic_of(message)
    return f"{chat_id}:{topic}" if topic else chat_id
