"""What is made of Messenger's and Instagram's webhooks, and that it survives the wire."""

from __future__ import annotations

from typing import Any

from shared.model import Message
from shared.providers import Parsed
from shared.providers.messenger import IGNORED_KINDS, Messenger
from shared.wire import decode_message, encode_message
from tests.support.meta_payloads import SENT_MS
from tests.support.parsing import parse_with

RECEIVED_AT = SENT_MS + 5000


def parse(payload: Any, **changes: Any) -> Parsed:
    """What is made of ``payload``; every kind it counts is one it may count."""
    parsed = parse_with(Messenger(), payload, received_at=RECEIVED_AT, **changes)
    assert parsed.ignored.keys() <= IGNORED_KINDS
    return parsed


def all_of(payload: Any, **changes: Any) -> tuple[Message, ...]:
    """The messages of ``payload``, which holds nothing else; they survive the wire."""
    parsed = parse(payload, **changes)
    assert (parsed.echoes, parsed.ignored) == ((), {})
    for message in parsed.messages:
        assert decode_message(message.instance, encode_message(message)) == message
    return parsed.messages


def only(payload: Any, **changes: Any) -> Message:
    """The one message of ``payload``."""
    (message,) = all_of(payload, **changes)
    return message
