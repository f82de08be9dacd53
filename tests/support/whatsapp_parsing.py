"""What is made of WhatsApp's webhooks, and that it survives the wire."""

from __future__ import annotations

from typing import Any

from shared.model import Message
from shared.providers import Parsed
from shared.providers.whatsapp import IGNORED_KINDS, WhatsApp
from shared.wire import decode_message, encode_message
from tests.support.meta_payloads import SENT_S
from tests.support.parsing import parse_with

RECEIVED_AT = SENT_S * 1000 + 5000


def parse(payload: Any, **changes: Any) -> Parsed:
    """What is made of ``payload``; every kind it counts is one it may count."""
    parsed = parse_with(WhatsApp(), payload, received_at=RECEIVED_AT, **changes)
    assert parsed.ignored.keys() <= IGNORED_KINDS
    return parsed


def only(payload: Any, **changes: Any) -> Message:
    """The one message of ``payload``, which holds nothing else; it survives the wire."""
    parsed = parse(payload, **changes)
    assert (parsed.echoes, parsed.ignored) == ((), {})
    (message,) = parsed.messages
    assert decode_message(message.instance, encode_message(message)) == message
    return message
