"""Traces as JSON: by their fields' names; what is not known is absent."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from shared.model import EntryId
from shared.placed import PlacedId
from shared.trace.whereabouts import ConversationTrace, MessageTrace


def conversation_face(instance: str, user: str, found: ConversationTrace) -> dict[str, Any]:
    """A conversation. A message's reply stands beside it in ``replies``, by its window id."""
    body = {"instance": instance, "user": user, **_plain(found)}
    for message in body["messages"]:
        message.pop("reply", None)
    return body


def message_face(instance: str, user: str, found: MessageTrace) -> dict[str, Any]:
    """One message, with its reply as long as there is one."""
    return {"instance": instance, "user": user, **_plain(found)}


def _plain(trace: Any) -> dict[str, Any]:
    values = {field.name: getattr(trace, field.name) for field in fields(trace)}
    return {name: _value(value) for name, value in values.items() if value is not None}


def _value(value: Any) -> Any:
    if isinstance(value, (EntryId, PlacedId)):
        return str(value)
    if is_dataclass(value):
        return _plain(value)
    return [_value(one) for one in value] if isinstance(value, tuple) else value
