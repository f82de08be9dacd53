"""
What a Telegram message says: kind, text, media, quoted message.

A message has one member that names its kind (``photo``, ``voice``, ``text``), beside members about
it. A kind that no rule explains is ``Kind.UNKNOWN`` with what text it has. Nothing here raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.model import Kind, Media
from shared.providers.values import first_text, integer_of, lines, object_of, point, text_of

_KINDS = {
    "photo": Kind.IMAGE,
    "animation": Kind.VIDEO,  # before document, which repeats it for old clients
    "video": Kind.VIDEO,
    "video_note": Kind.VIDEO,
    "voice": Kind.AUDIO,
    "audio": Kind.AUDIO,
    "document": Kind.DOCUMENT,
    "sticker": Kind.STICKER,
    "venue": Kind.LOCATION,  # before location, which repeats it
    "location": Kind.LOCATION,
    "contact": Kind.CONTACT,
    "web_app_data": Kind.BUTTON,
    "poll": Kind.UNKNOWN,
    "dice": Kind.UNKNOWN,
    "game": Kind.UNKNOWN,
    "story": Kind.UNKNOWN,
    "checklist": Kind.UNKNOWN,
    "paid_media": Kind.UNKNOWN,
    "invoice": Kind.UNKNOWN,
    "successful_payment": Kind.UNKNOWN,
    "users_shared": Kind.UNKNOWN,
    "chat_shared": Kind.UNKNOWN,
    "text": Kind.TEXT,
}

_SERVICE = frozenset(
    {
        "new_chat_members",
        "new_chat_member",
        "new_chat_participant",
        "left_chat_member",
        "left_chat_participant",
        "new_chat_title",
        "new_chat_photo",
        "delete_chat_photo",
        "group_chat_created",
        "supergroup_chat_created",
        "channel_chat_created",
        "message_auto_delete_timer_changed",
        "migrate_to_chat_id",
        "migrate_from_chat_id",
        "pinned_message",
        "refunded_payment",
        "connected_website",
        "write_access_allowed",
        "passport_data",
        "proximity_alert_triggered",
        "boost_added",
        "chat_background_set",
        "chat_owner_left",
        "chat_owner_changed",
        "checklist_tasks_done",
        "checklist_tasks_added",
        "direct_message_price_changed",
        "paid_message_price_changed",
        "poll_option_added",
        "poll_option_deleted",
        "gift",
        "unique_gift",
        "gift_upgrade_sent",
    }
)
_SERVICE_PREFIXES = (
    "forum_topic_",
    "general_forum_topic_",
    "video_chat_",
    "voice_chat_",
    "giveaway",
    "suggested_post_",
)


def member_of(message: dict[str, Any]) -> str | None:
    """The name of the member that holds what the message says; None: there is none we know."""
    return next((name for name in _KINDS if message.get(name) is not None), None)


def is_service(message: dict[str, Any]) -> bool:
    """Whether Telegram itself says something: a member joined, a message was pinned."""
    return member_of(message) is None and any(
        name in _SERVICE or name.startswith(_SERVICE_PREFIXES)
        for name, value in message.items()
        if value is not None
    )


def kind_of(message: dict[str, Any]) -> Kind:
    """What sort of message it is."""
    member = member_of(message)
    return Kind.UNKNOWN if member is None else _KINDS[member]


def text_in(message: dict[str, Any]) -> str:
    """The text that a person would say was sent; empty where there is none."""
    member = member_of(message) or ""
    said = _TEXTS.get(member, _nothing)(message, object_of(message.get(member)))
    return said or first_text(message.get("caption"), message.get("text"))


def media_in(message: dict[str, Any]) -> Media | None:
    """
    The file that came with the message, if one did.

    ``id`` is what ``getFile`` asks for. The address of the file itself has the bot's token in it,
    so there is no ``url``.
    """
    member = member_of(message)
    if member is None or member not in _FILES:
        return None
    found = message[member]
    file = _largest(found) if isinstance(found, list) else object_of(found)
    return Media(
        id=first_text(file.get("file_id")) or None,
        mime=first_text(file.get("mime_type")) or None,
        caption=first_text(message.get("caption")) or None,
        name=first_text(file.get("file_name")) or None,
        size_bytes=integer_of(file.get("file_size")),
        duration_s=integer_of(file.get("duration")),
    )


_FILES = frozenset(
    {"photo", "animation", "video", "video_note", "voice", "audio", "document", "sticker"}
)


def _largest(sizes: list[Any]) -> dict[str, Any]:
    """A photo is a list of sizes of one picture, the largest last."""
    return next((size for size in reversed(sizes) if isinstance(size, dict)), {})


def _nothing(_message: dict[str, Any], _member: dict[str, Any]) -> str:
    return ""


def _named(*names: str) -> Callable[[dict[str, Any], dict[str, Any]], str]:
    return lambda _message, member: lines(*(member.get(name) for name in names))


def _place(message: dict[str, Any], member: dict[str, Any]) -> str:
    place = object_of(member.get("location")) or object_of(message.get("location"))
    return lines(point(place, "latitude", "longitude"), member.get("title"), member.get("address"))


def _contact(_message: dict[str, Any], member: dict[str, Any]) -> str:
    return lines(person_name(member), member.get("phone_number"), member.get("vcard"))


def _poll(_message: dict[str, Any], member: dict[str, Any]) -> str:
    return lines(member.get("question"), *_texts_in(member.get("options")))


def _checklist(_message: dict[str, Any], member: dict[str, Any]) -> str:
    return lines(member.get("title"), *_texts_in(member.get("tasks")))


def _shared_users(_message: dict[str, Any], member: dict[str, Any]) -> str:
    users = member.get("users")
    listed = users if isinstance(users, list) else []
    return lines(*(person_name(object_of(user)) for user in listed))


def _dice(_message: dict[str, Any], member: dict[str, Any]) -> str:
    return " ".join(filter(None, (text_of(member.get(name)) for name in ("emoji", "value"))))


_TEXTS: dict[str, Callable[[dict[str, Any], dict[str, Any]], str]] = {
    "sticker": _named("emoji"),
    "venue": _place,
    "location": _place,
    "contact": _contact,
    "web_app_data": _named("data"),
    "poll": _poll,
    "dice": _dice,
    "game": _named("title", "description"),
    "checklist": _checklist,
    "invoice": _named("title", "description"),
    "successful_payment": _named("invoice_payload"),
    "users_shared": _shared_users,
    "chat_shared": _named("title"),
}


def _texts_in(listed: Any) -> list[str]:
    members = listed if isinstance(listed, list) else []
    return [text_of(object_of(member).get("text")) for member in members]


def person_name(person: dict[str, Any]) -> str:
    """First and last name, else the user name."""
    names = (text_of(person.get(name)).strip() for name in ("first_name", "last_name"))
    return " ".join(filter(None, names)) or first_text(person.get("username"))
