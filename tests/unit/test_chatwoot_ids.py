"""Whose a Chatwoot message is and which: found where it stands, in one spelling."""

from __future__ import annotations

from typing import Any

import pytest

from shared.providers import Parsed
from tests.support.chatwoot_payloads import (
    CONTACT_ID,
    PHONE,
    contact,
    conversation,
    incoming,
    only_message,
    parse,
    repeated,
    source,
)
from tests.support.parsing import webhook_request


@pytest.mark.parametrize(
    "source_id, user",
    [
        (PHONE, PHONE),
        (f"{PHONE}@s.whatsapp.net", PHONE),
        (f"{PHONE}:12@s.whatsapp.net", PHONE),
        (f"{PHONE}@c.us", PHONE),
        ("90807060504030:3@lid", "90807060504030@lid"),
        (f"whatsapp:+{PHONE}", PHONE),
        (f"+{PHONE}", f"+{PHONE}"),
        ("670001", "670001"),
        (670001, "670001"),
        ("83b72ca2-0000-4000-8000-000000000001", "83b72ca2-0000-4000-8000-000000000001"),
        ("ana@example.org", "ana@example.org"),
    ],
)
def test_a_user_is_the_contacts_id_at_the_channel(source_id: Any, user: str) -> None:
    """In one spelling, whichever bridge put a WhatsApp user into Chatwoot."""
    assert only_message(incoming(conversation=source(source_id))).user == user


NOBODY: dict[str, Any] = {"id": None, "identifier": None, "phone_number": None}


@pytest.mark.parametrize(
    "sender, user",
    [
        (contact(), str(CONTACT_ID)),
        (contact(id=None, identifier=f"{PHONE}@s.whatsapp.net"), PHONE),
        (contact(id=None), PHONE),
        (contact(**NOBODY), str(CONTACT_ID)),
        (None, str(CONTACT_ID)),
    ],
)
def test_without_it_the_contact_is_the_user(sender: Any, user: str) -> None:
    """By Chatwoot's number, the identifier, the phone, or what the conversation says of them."""
    assert only_message(incoming(conversation=source(None), sender=sender)).user == user


def test_a_conversation_alone_stands_for_its_contact() -> None:
    """It has one contact, and can be answered."""
    payload = incoming(conversation={"id": 31}, sender=None)
    assert only_message(payload).user == "conversation:31"


def test_a_message_of_nobody_is_counted() -> None:
    """Without user and conversation there is nobody to answer."""
    assert parse(incoming(conversation=None, sender=None)) == Parsed(ignored={"malformed": 1})


@pytest.mark.parametrize(
    "changes, message_id",
    [
        ({}, "1001"),
        ({"id": "1001"}, "1001"),
        ({"id": ..., "conversation": conversation(messages=[repeated(id=77)])}, "77"),
        ({"id": None}, "source:wamid.INVENTED1001"),
        ({"id": [], "source_id": None}, "delivery:5e0c-01"),
    ],
)
def test_an_id_is_found_where_there_is_one(changes: dict[str, Any], message_id: str) -> None:
    """Chatwoot's own, the repeated one, the channel's, the delivery's, which a retry keeps."""
    request = webhook_request(headers={"X-Chatwoot-Delivery": "5e0c-01"})
    assert only_message(incoming(**changes), request=request).message_id == message_id


def test_without_any_id_the_message_itself_is_one() -> None:
    """The same content sent again is the same message, another is another."""
    first, again, other = (
        only_message(incoming(text, id=..., source_id=...)).message_id for text in ("a", "a", "b")
    )
    assert first == again
    assert first != other
    assert first.startswith("hash:")
