"""Evolution's webhooks become messages, each with its user, its time and its name."""

from __future__ import annotations

from typing import Any

import pytest

from shared.model import Kind, Message
from shared.providers import Echo
from shared.providers.evolution import Evolution
from shared.providers.registry import PROVIDERS, provider_named
from tests.support.evolution_payloads import (
    INSTANCE,
    LID,
    MAX_AGE_MS,
    MESSAGE_ID,
    PHONE,
    RECEIVED_AT,
    SENT_S,
    key,
    only_message,
    parse,
    text_item,
    webhook,
)
from tests.support.parsing import recipient


def test_a_text_becomes_a_message_with_every_field() -> None:
    """A plain text carries who, what, when, under which id, and where an answer goes."""
    assert only_message(text_item("are you open?")) == Message(
        instance=INSTANCE,
        user=PHONE,
        message_id=MESSAGE_ID,
        text="are you open?",
        kind=Kind.TEXT,
        sent_at=SENT_S * 1000,
        received_at=RECEIVED_AT,
        name="Ana",
        reply_to=f"{PHONE}@s.whatsapp.net",
        provider="evolution",
    )


@pytest.mark.parametrize("event", ["messages.upsert", "MESSAGES_UPSERT", "messages-upsert"])
def test_the_event_is_known_in_every_spelling(event: str) -> None:
    """Evolution writes event names with dots, in capitals and, in URLs, with hyphens."""
    assert len(parse(webhook(text_item(), event=event)).messages) == 1


def test_the_recipient_names_the_instance() -> None:
    """Whose a message is was decided by whose secret was checked: the body chooses nothing."""
    message = only_message(text_item(), recipient_of=recipient("desk-2"))
    assert message.instance == "desk-2"


def test_what_is_for_an_account_of_somebody_else_is_counted() -> None:
    """Another account's message is none of ours, and Evolution is not to send it again."""
    parsed = parse(webhook(text_item()), recipient_of=lambda _account, _setting=None: None)
    assert parsed.messages == ()
    assert parsed.ignored == {"other_account": 1}


def test_an_array_keeps_its_order_and_counts_what_is_ignored() -> None:
    """``data`` may be an array: its messages stay in order, the rest is counted beside them."""
    data = [
        text_item("one", of=key(id="A1")),
        text_item("echo", of=key(id="A2", fromMe=True)),
        text_item("two", of=key(id="A3")),
    ]
    parsed = parse(webhook(data))
    assert [message.text for message in parsed.messages] == ["one", "two"]
    assert parsed.echoes == (Echo(instance=INSTANCE, user=PHONE, message_id="A2"),)
    assert parsed.ignored == {}


@pytest.mark.parametrize(
    "changes, user, reply_to",
    [
        ({"remoteJid": f"{PHONE}:12@s.whatsapp.net"}, PHONE, f"{PHONE}@s.whatsapp.net"),
        (
            {"remoteJid": f"{LID}@lid", "remoteJidAlt": f"{PHONE}@s.whatsapp.net"},
            PHONE,
            f"{PHONE}@s.whatsapp.net",
        ),
        (
            {"remoteJid": f"{LID}@lid", "senderPn": f"{PHONE}@s.whatsapp.net"},
            PHONE,
            f"{PHONE}@s.whatsapp.net",
        ),
        ({"remoteJidAlt": f"{LID}:20@lid"}, PHONE, f"{PHONE}@s.whatsapp.net"),
        ({"remoteJid": f"{LID}:3@lid"}, f"{LID}@lid", f"{LID}@lid"),
        ({"remoteJid": "@s.whatsapp.net", "senderLid": f"{LID}@lid"}, f"{LID}@lid", f"{LID}@lid"),
        ({"remoteJid": "12345@bot"}, "12345@bot", "12345@bot"),
    ],
)
def test_the_user_is_the_phone_number_where_any_field_has_it(
    changes: dict[str, Any], user: str, reply_to: str
) -> None:
    """The phone's jid is preferred over the linked id, and devices do not make other users."""
    message = only_message(text_item(of=key(**changes)))
    assert (message.user, message.reply_to) == (user, reply_to)


@pytest.mark.parametrize(
    "timestamp",
    [
        SENT_S,
        float(SENT_S),
        str(SENT_S),
        {"low": SENT_S, "high": 0, "unsigned": True},
    ],
)
def test_the_time_is_read_in_every_spelling(timestamp: Any) -> None:
    """Seconds come as a number, as digits or as a Long object."""
    assert only_message(text_item(messageTimestamp=timestamp)).sent_at == SENT_S * 1000


def test_a_long_objects_low_half_may_be_negative() -> None:
    """A Long above 2^31 has a negative low half when it came through a signed encoder."""
    after_2038_s = 2**31 + 5
    timestamp = {"low": after_2038_s - 2**32, "high": 0, "unsigned": False}
    message = only_message(text_item(messageTimestamp=timestamp))
    assert message.sent_at == after_2038_s * 1000


@pytest.mark.parametrize(
    "timestamp",
    [None, "", "soon", True, [], {}, {"low": "1"}, -5, 0, 1e300, SENT_S * 1000, "9" * 400],
)
def test_a_time_that_makes_no_sense_counts_as_none(timestamp: Any) -> None:
    """A message is not lost for its timestamp: it is kept, without the provider's time."""
    assert only_message(text_item(messageTimestamp=timestamp)).sent_at is None


@pytest.mark.parametrize("name", [None, "", "  ", {}, 5])
def test_a_name_is_a_text_or_absent(name: Any) -> None:
    """``pushName`` may be null or empty, and a number is its digits."""
    assert only_message(text_item(pushName=name)).name == ("5" if name == 5 else None)


def test_a_message_just_young_enough_is_kept() -> None:
    """``MAX_AGE_MS`` is the largest age that is kept."""
    sent_s = SENT_S - MAX_AGE_MS // 1000
    message = only_message(text_item(messageTimestamp=sent_s), received_at=SENT_S * 1000)
    assert message.sent_at == sent_s * 1000


def test_baileys_own_event_is_read() -> None:
    """A build that passes Baileys' ``{messages, type}`` on is understood as an array."""
    parsed = parse(webhook({"type": "notify", "messages": [text_item("a"), text_item("b")]}))
    assert [message.text for message in parsed.messages] == ["a", "b"]


@pytest.mark.parametrize(
    "payload, name",
    [
        ({"instance": "Front Desk"}, "Front Desk"),
        ({"instance": 5}, None),
        ({"instance": ""}, None),
        ({"instance": "x" * 129}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_the_payload_names_its_instance(payload: Any, name: str | None) -> None:
    """The envelope's instance is told, or None where it names none that could be one."""
    assert Evolution().account_of(payload) == name


def test_event_suffixes_are_those_that_evolution_appends() -> None:
    """Each known event has its URL suffix, in the spelling of ``byEvents``."""
    suffixes = Evolution.event_suffixes
    assert {"messages-upsert", "messages-set", "call", "typebot-change-status"} <= suffixes
    assert all(suffix == suffix.lower() and "_" not in suffix for suffix in suffixes)


def test_the_registry_holds_evolution_by_its_name() -> None:
    """A provider is found by the name in the webhook's path, and no other name finds one."""
    provider = provider_named("evolution")
    assert provider is PROVIDERS["evolution"]
    assert isinstance(provider, Evolution)
    assert provider_named("Evolution") is None
