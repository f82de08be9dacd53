"""
The envelopes around messages: Standard Webhooks' ``{type, timestamp, data}``, CloudEvents, none.

A CloudEvent comes structured (an object that says ``specversion``), several at once (an array),
or binary: its attributes in ``ce-`` headers around the data. What comes out is the same: events,
each with its type, its id, its time, and the items that may be messages.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from msgspec import Struct

from shared.errors import RequestRefused
from shared.message_form import TIME_MAX_MS
from shared.payload import parse_json
from shared.providers import WebhookRequest
from shared.providers.forms import refusal
from shared.providers.values import first_text, object_of, text_of

_CLOUD_EVENTS = "application/cloudevents"
_ATTRIBUTES = ("specversion", "id", "source", "type", "time")

EVENTS_MAX = 1000
"""In one batch: as many as one request may hold messages. Who sends may have proven nothing yet."""

REPLY = "message.reply"
"""The type of what we send, which may come back as what it is."""

_SIGNALS = {
    "updated": "edit",
    "edited": "edit",
    "deleted": "deletion",
    "removed": "deletion",
    "revoked": "deletion",
    "delivered": "receipt",
    "read": "receipt",
    "failed": "receipt",
    "typing": "presence",
}
"""What a type's last word makes of an event, whatever it holds."""

_OF_THE_ACCOUNT = "sent"
"""A type's last word where a message is not the user's, but goes to the user."""


class Event(Struct, frozen=True, kw_only=True):
    """
    One event. ``items`` are what it says; ``signal`` is the kind it counts as, if it is none.

    ``is_bare``: there is no envelope, so that what is no message is a mistake, and not an event
    of another sort.
    """

    id: str | None
    sent_at: int | None
    items: Sequence[Any]
    signal: str | None = None
    is_echo: bool = False
    is_bare: bool = False


def read_json(request: WebhookRequest) -> Any:
    """
    The request's JSON; of a CloudEvent in binary mode what it would be in structured mode.

    Raises:
        RequestRefused: 400 it is no JSON; 415 it is an event in another format.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type.startswith(_CLOUD_EVENTS):
        if not media_type.endswith("+json"):
            raise _unsupported(f"of CloudEvents' formats only JSON is read, not {_CLOUD_EVENTS}+")
        return parse_json(request.body)
    if "ce-specversion" not in request.headers:
        return parse_json(request.body)
    if media_type and not media_type.endswith(("/json", "+json")):
        raise _unsupported("the data of a CloudEvent in binary mode must be JSON")
    given = ((name, request.headers.get(f"ce-{name}")) for name in _ATTRIBUTES)
    attributes = {name: unquote(header_text(value)) for name, value in given if value is not None}
    return attributes | {"data": parse_json(request.body) if request.body else None}


def _unsupported(message: str) -> RequestRefused:
    return RequestRefused(415, "unsupported_format", message)


def header_text(value: str) -> str:
    """A header's text as it can be stored: bytes that are no UTF-8 come as surrogates."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip()


def events_in(payload: Any, delivery_id: str | None) -> list[Event]:
    """
    The events of a payload, in its order. ``delivery_id`` names what names itself by nothing.

    Raises:
        RequestRefused: 400, it is neither an object nor an array; 413, it is of too many events.
    """
    if isinstance(payload, dict):
        return [_event_of(payload, delivery_id)]
    if not isinstance(payload, list):
        raise refusal("the body must be a JSON object, or an array of CloudEvents")
    if len(payload) > EVENTS_MAX:
        why = f"the array holds more than {EVENTS_MAX} events"
        raise RequestRefused(413, "too_many_messages", why)
    return [
        _event_of(object_of(each), delivery_id and f"{delivery_id}:{index}")
        for index, each in enumerate(payload)
    ]


def _event_of(payload: Mapping[str, Any], delivery_id: str | None) -> Event:
    if payload.get("specversion") is not None:
        event_id = _cloud_id(payload) or delivery_id
        return _enveloped(payload, _cloud_data(payload), event_id, payload.get("time"))
    if "data" in payload and "user" not in payload:
        return _enveloped(payload, payload["data"], delivery_id, payload.get("timestamp"))
    return Event(id=delivery_id, sent_at=None, items=_items_in(payload), is_bare=True)


def _enveloped(payload: Mapping[str, Any], data: Any, event_id: str | None, at: Any) -> Event:
    words = re.findall(r"[a-z]+", text_of(payload.get("type")).lower())
    last = words[-1] if words else ""
    return Event(
        id=event_id,
        sent_at=moment_of(at),
        items=_items_in(data),
        signal=_SIGNALS.get(last),
        is_echo=last == _OF_THE_ACCOUNT or words == REPLY.split("."),
    )


def _items_in(data: Any) -> Sequence[Any]:
    several = data.get("messages") if isinstance(data, dict) else data
    return several if isinstance(several, list) else (data,)


def _cloud_id(payload: Mapping[str, Any]) -> str | None:
    """Source and id together are an event's name; a source is a URI and holds no space."""
    parts = [first_text(payload.get("source")), first_text(payload.get("id"))]
    return " ".join(parts) if all(parts) else None


def _cloud_data(payload: Mapping[str, Any]) -> Any:
    encoded = payload.get("data_base64")
    if payload.get("data") is not None or not isinstance(encoded, str):
        return payload.get("data")
    try:
        return parse_json(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError, RequestRefused):
        return None  # bytes of another sort


def moment_of(value: Any) -> int | None:
    """An ISO 8601 time with its zone, in ms; None: it says none that can be told."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        moment = datetime.fromisoformat(value.strip().upper())
        at = None if moment.tzinfo is None else int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return at if at is not None and 0 <= at <= TIME_MAX_MS else None
