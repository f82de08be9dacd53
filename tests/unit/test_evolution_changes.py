"""Edits, deletions and receipts are told from messages, and from each other."""

from __future__ import annotations

from typing import Any

import pytest

from shared.providers import Parsed
from tests.support.evolution_payloads import MESSAGE_ID, PHONE, item, key, parse, text_item, webhook

THEIR_KEY = {"remoteJid": f"{PHONE}@s.whatsapp.net", "fromMe": False, "id": "3EB0BEFORE"}
REVOKE = {"key": THEIR_KEY, "type": "REVOKE"}
EDIT = {"key": THEIR_KEY, "type": "MESSAGE_EDIT", "editedMessage": {"conversation": "friday"}}
TIMER = {"type": "EPHEMERAL_SETTING", "ephemeralExpiration": 604800}


def counted(data: Any, event: str) -> dict[str, int]:
    """What an event that holds no message counts as."""
    parsed = parse(webhook(data, event=event))
    assert parsed == Parsed(ignored=parsed.ignored)
    return parsed.ignored


@pytest.mark.parametrize(
    "protocol, kind",
    [
        (REVOKE, "deletion"),
        (REVOKE | {"type": 0}, "deletion"),
        ({"key": THEIR_KEY}, "deletion"),
        (EDIT, "edit"),
        (EDIT | {"type": 14}, "edit"),
        ({"key": THEIR_KEY, "editedMessage": {"conversation": "x"}}, "edit"),
        (TIMER, "other"),
        ({"key": THEIR_KEY, "type": 3}, "other"),
        ({"type": False}, "other"),
        ({"type": ["REVOKE"]}, "other"),
        ({}, "other"),
    ],
)
def test_a_protocol_message_is_what_it_does(protocol: dict[str, Any], kind: str) -> None:
    """By name, by number, or by what it holds; inside an upsert and as ``messages.edited``."""
    inside = item({"protocolMessage": protocol}, "protocolMessage")
    assert parse(webhook(inside)).ignored == {kind: 1}
    assert counted(protocol, "messages.edited") == {kind: 1}


@pytest.mark.parametrize(
    "message",
    [
        {"editedMessage": {"message": {"protocolMessage": EDIT}}},
        {"editedMessage": {"message": {"conversation": "friday"}}},
        {"ephemeralMessage": {"message": {"protocolMessage": EDIT}}},
        {"ephemeralMessage": {"message": {"editedMessage": {"message": {"conversation": "x"}}}}},
        {"messageContextInfo": {}, "protocolMessage": EDIT},
    ],
)
@pytest.mark.parametrize("message_type", [None, "editedMessage", "protocolMessage", "unknown"])
def test_an_edit_is_not_taken_for_its_message(
    message: dict[str, Any], message_type: str | None
) -> None:
    """In whatever it is wrapped: the window of the first wording is not opened again."""
    assert parse(webhook(item(message, message_type))).ignored == {"edit": 1}
    own = item(message, message_type, of=key(fromMe=True))
    assert parse(webhook(own)) == Parsed(ignored={"edit": 1})


@pytest.mark.parametrize(
    "data, kind",
    [
        ({"keyId": MESSAGE_ID, "fromMe": True, "status": "DELIVERY_ACK"}, "receipt"),
        ({"keyId": MESSAGE_ID, "fromMe": True, "status": "READ"}, "receipt"),
        ({"keyId": MESSAGE_ID, "status": "DELETED"}, "deletion"),
        ({"keyId": MESSAGE_ID, "status": "EDITED"}, "edit"),
        ({"keyId": MESSAGE_ID, "message": {"conversation": "friday"}}, "edit"),
        ({"keyId": MESSAGE_ID, "status": "SERVER_ACK", "message": {"editedMessage": {}}}, "edit"),
        ({"keyId": MESSAGE_ID, "message": None}, "receipt"),
        ({"keyId": MESSAGE_ID, "status": 5}, "receipt"),
        ({"keyId": MESSAGE_ID, "status": {"a": 1}}, "receipt"),
    ],
)
def test_an_update_is_a_receipt_unless_it_says_more(data: dict[str, Any], kind: str) -> None:
    """``messages.update`` also tells deletions and edits; an edit may come without a status."""
    assert counted(data, "messages.update") == {kind: 1}
    assert counted([data, data], "MESSAGES_UPDATE") == {kind: 2}


def test_a_delete_is_a_deletion() -> None:
    """``messages.delete`` is the key of what is gone."""
    assert counted({**THEIR_KEY, "status": "DELETED"}, "messages.delete") == {"deletion": 1}


@pytest.mark.parametrize("event", ["messages.update", "messages.edited", "messages.delete"])
@pytest.mark.parametrize("data", [None, [], "x", 5, [None, "x"]])
def test_a_damaged_change_is_counted(event: str, data: Any) -> None:
    """Whatever it holds, a change is no message and no error."""
    assert sum(counted(data, event).values()) == max(1, len(data) if isinstance(data, list) else 1)


def test_what_was_sent_through_the_api_is_no_echo() -> None:
    """``send.message`` tells what ``messages.upsert`` tells too."""
    assert counted(text_item(of=key(fromMe=True)), "send.message") == {"sent": 1}
