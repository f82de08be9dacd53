"""
Telegram's updates, built from its rules: an update around a message or a button press.

And the shortest ways to what the provider makes of them: ``parse``, ``only_message``.
"""

from __future__ import annotations

from typing import Any

from shared.model import Message
from shared.providers import Parsed
from shared.providers.telegram import Telegram
from tests.support.parsing import parse_with, recipient

SENT_S = 1_760_000_000
RECEIVED_AT = SENT_S * 1000 + 900
UPDATE_ID = 880_000_001
MESSAGE_ID = 4711
USER = 7_123_456_789_012
"""Beyond 32 bits, as newer accounts are."""

GROUP = -1_002_000_111_222
CHANNEL = -1_001_999_888_777


def person(**changes: Any) -> dict[str, Any]:
    """``from``: somebody called Ana Souza."""
    fields = {"id": USER, "is_bot": False, "first_name": "Ana", "last_name": "Souza"}
    return fields | changes


def chat(sort: str | None = "private", number: int = USER) -> dict[str, Any]:
    """``chat`` of a type; None leaves the type out."""
    found: dict[str, Any] = {"id": number, "first_name": "Ana"}
    return found if sort is None else found | {"type": sort}


def message(**changes: Any) -> dict[str, Any]:
    """A private message without content; a None removes a field."""
    fields: dict[str, Any] = {
        "message_id": MESSAGE_ID,
        "from": person(),
        "chat": chat(),
        "date": SENT_S,
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


def update(member: str = "message", of: Any = None, **changes: Any) -> dict[str, Any]:
    """An update with one member."""
    return {"update_id": UPDATE_ID, member: of} | changes


def text(said: Any = "hi", **changes: Any) -> dict[str, Any]:
    """An update with a plain text."""
    return update(of=message(text=said, **changes))


def in_group(**changes: Any) -> dict[str, Any]:
    """A message in a supergroup."""
    return message(chat=chat("supergroup", GROUP), **changes)


def photo_sizes(name: str = "AgAC-desk") -> list[dict[str, Any]]:
    """One picture in three sizes, the largest last."""
    return [
        {"file_id": f"{name}-s", "file_unique_id": "u1", "file_size": 1200, "width": 90},
        {"file_id": f"{name}-m", "file_unique_id": "u2", "file_size": 9800, "width": 320},
        {"file_id": f"{name}-x", "file_unique_id": "u3", "file_size": 45000, "width": 1280},
    ]


def press(**changes: Any) -> dict[str, Any]:
    """A press of an inline button below a message of the bot; a None removes a field."""
    shown = message(**{"from": person(id=99, is_bot=True, first_name="Desk")}, text="When?")
    fields = {
        "id": "55501234567",
        "from": person(),
        "message": shown,
        "chat_instance": "-4242",
        "data": "slot:10:30",
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


def parse(payload: Any, *, groups: bool = False, store_raw: bool = False) -> Parsed:
    """What the provider makes of ``payload``."""
    whose = recipient(groups=groups, store_raw=store_raw)
    return parse_with(Telegram(), payload, received_at=RECEIVED_AT, recipient_of=whose)


def only_message(payload: Any, **changes: Any) -> Message:
    """The one message of an update that ignores nothing."""
    parsed = parse(payload, **changes)
    assert parsed.ignored == {}
    (found,) = parsed.messages
    return found
