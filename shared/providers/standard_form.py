"""What is not refused, as JSON Schema: an envelope, a bare message, or several of either."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.message_form import USER_MAX_CHARS

_CONTROL = r"\x00-\x1f\x7f-\x9f"

_USER: Mapping[str, Any] = {
    "description": "who writes; the one field that a message must have",
    "anyOf": [
        {"type": "number", "minimum": -(2**63) + 1, "maximum": 2**63 - 1},
        {
            "type": "string",
            "maxLength": USER_MAX_CHARS,
            "pattern": rf"^[^{_CONTROL}]*[^\s{_CONTROL}][^{_CONTROL}]*$",
        },
    ],
}

_MESSAGE: Mapping[str, Any] = {
    "type": "object",
    "required": ["user"],
    "properties": {"user": _USER},
    "anyOf": [
        {"required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}},
        {"required": ["media"], "properties": {"media": {"type": "object"}}},
        {"required": ["kind"], "properties": {"kind": {"type": "string", "pattern": r"\S"}}},
    ],
}

_ENVELOPE: Mapping[str, Any] = {
    "description": "Standard Webhooks' {type, timestamp, data}, with a message as data",
    "type": "object",
    "required": ["data"],
    "properties": {"user": False},
}

_CLOUD_EVENT: Mapping[str, Any] = {
    "description": "a CloudEvent, with a message as data",
    "type": "object",
    "required": ["specversion"],
    "properties": {"specversion": {"not": {"type": "null"}}},
}

_SEVERAL: Mapping[str, Any] = {
    "type": "object",
    "required": ["messages"],
    "properties": {
        # of several, those that are none are counted; one alone that is none is refused
        "messages": {"type": "array", "anyOf": [{"minItems": 2}, {"items": _MESSAGE}]}
    },
}

_ONE: Mapping[str, Any] = {
    **_MESSAGE,
    "properties": {"user": _USER, "messages": {"not": {"type": "array"}}},
}

FORM: Mapping[str, Any] = {
    "anyOf": [_ENVELOPE, _CLOUD_EVENT, _ONE, _SEVERAL, {"type": "array"}],
}
