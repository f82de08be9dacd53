"""Requests to the provider ``standard``, built from its rules, and what it makes of them."""

from __future__ import annotations

from typing import Any

import orjson

from shared.model import Message
from shared.providers import Parsed, WebhookRequest
from shared.providers.standard import Standard
from tests.support.parsing import parse_with, webhook_request

RECEIVED_AT = 1_790_000_000_000
GOOD = {"user": "guest-7", "text": "hi", "message_id": "m-1"}
JSON = {"Content-Type": "application/json"}
CLOUD_EVENT = {"Content-Type": "application/cloudevents+json"}


def envelope(data: Any, event: str = "message.created", **changes: Any) -> dict[str, Any]:
    """A Standard Webhook's body."""
    return {"type": event, "timestamp": "2026-03-04T05:06:07.5Z", "data": data} | changes


def cloud_event(data: Any, **changes: Any) -> dict[str, Any]:
    """A CloudEvent in structured mode."""
    return {
        "specversion": "1.0",
        "type": "org.example.chat.message",
        "source": "/hotel/chat",
        "id": "e-1",
        "time": "2026-03-04T06:06:07.5+01:00",
        "data": data,
    } | changes


SENT_AT = 1_772_600_767_500
"""The time in both of them."""


def request_of(payload: Any, headers: dict[str, str] | None = None) -> WebhookRequest:
    """The payload as it comes over the network."""
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return webhook_request(body, {**JSON, **(headers or {})})


def parse(payload: Any, headers: dict[str, str] | None = None, **changes: Any) -> Parsed:
    """What the provider makes of a request."""
    request = request_of(payload, headers)
    return parse_with(
        Standard(),
        Standard().read(request),
        received_at=RECEIVED_AT,
        **({"request": request} | changes),
    )


def only_message(payload: Any, headers: dict[str, str] | None = None, **changes: Any) -> Message:
    """The one message of a request that holds nothing else."""
    parsed = parse(payload, headers, **changes)
    assert (parsed.echoes, parsed.ignored) == ((), {})
    (message,) = parsed.messages
    return message
