"""What of Evolution's webhooks is no message is counted by kind, and damage costs no other."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from shared.errors import RequestRefused
from shared.model import Kind
from shared.providers import Parsed
from shared.providers.evolution import IGNORED_KINDS
from tests.support.evolution_payloads import (
    MAX_AGE_MS,
    PHONE,
    SENT_S,
    item,
    key,
    only_message,
    parse,
    text_item,
    webhook,
)

TOO_OLD_S = SENT_S - MAX_AGE_MS // 1000 - 1


def refused_field(payload: Any, **changes: Any) -> str:
    """The message of the 400 that ``payload`` is refused with."""
    with pytest.raises(RequestRefused) as caught:
        parse(payload, **changes)
    assert (caught.value.status, caught.value.code) == (400, "invalid_payload")
    return str(caught.value)


@pytest.mark.parametrize(
    "data, kind",
    [
        (text_item(of=key(remoteJid="120363000000000001@g.us")), "group"),
        (text_item(of=key(remoteJid="120363000000000001@g.us", fromMe=True)), "group"),
        (text_item(of=key(remoteJid="status@broadcast")), "broadcast"),
        (text_item(of=key(remoteJid="120363000000000002@newsletter")), "newsletter"),
        (item({"reactionMessage": {"text": "+1"}}, "reactionMessage"), "reaction"),
        (item({"messageContextInfo": {}, "pollUpdateMessage": {}}), "poll"),
        (item(None, "reactionMessage"), "reaction"),
        (item({"reactionMessage": {"text": "+1"}}, of=key(fromMe=True)), "reaction"),
        (text_item(of=key(fromMe=True), messageTimestamp=SENT_S - MAX_AGE_MS), "too_old"),
        (text_item(messageTimestamp=TOO_OLD_S), "too_old"),
        (text_item(messageTimestamp=TOO_OLD_S, type="append"), "history"),
        (text_item(messageTimestamp=None, type="append"), "history"),
        ({"type": "append", "messages": [text_item(messageTimestamp=TOO_OLD_S)]}, "history"),
    ],
)
def test_what_is_no_turn_of_the_user_is_counted_by_kind(data: Any, kind: str) -> None:
    """Echoes, groups, reactions, withdrawals, history and old messages open no window."""
    assert parse(webhook(data)) == Parsed(ignored=Counter({kind: 1}))


@pytest.mark.parametrize(
    "payload",
    [
        webhook(text_item(type="append")),
        webhook(text_item(), type="append"),
        webhook({"type": "append", "messages": [text_item()]}),
    ],
)
def test_what_was_written_while_the_phone_was_away_is_kept(payload: Any) -> None:
    """Baileys replays it as it replays history: only history is old."""
    parsed = parse(payload)
    assert ([message.text for message in parsed.messages], parsed.ignored) == (["hi"], {})


def test_replayed_history_is_counted_by_message() -> None:
    """``messages.set`` holds old messages: none is handled, each is counted."""
    parsed = parse(webhook([text_item(), text_item()], event="messages.set", progress=80))
    assert parsed == Parsed(ignored=Counter({"history": 2}))


@pytest.mark.parametrize(
    "event, kind",
    [
        ("connection.update", "connection"),
        ("qrcode.updated", "connection"),
        ("SEND_MESSAGE", "sent"),
        ("send.message.update", "edit"),
        ("contacts.upsert", "contact_update"),
        ("presence.update", "presence"),
        ("group-participants.update", "other"),
        ("typebot.change-status", "other"),
        ("call", "call"),
        ("invented.yesterday", "other"),
    ],
)
@pytest.mark.parametrize("data", [{"state": "open"}, [], None, "text"])
def test_other_events_are_counted_by_name(event: str, kind: str, data: Any) -> None:
    """Every other event is accepted whatever it holds; names nobody knows share one label."""
    assert parse(webhook(data, event=event)) == Parsed(ignored=Counter({kind: 1}))
    assert kind in IGNORED_KINDS


@pytest.mark.parametrize(
    "payload, field",
    [
        (None, "body"),
        ([], "body"),
        ("text", "body"),
        ({"instance": "a", "data": {}}, "event"),
        (webhook(text_item(), event=" "), "event"),
        (webhook(text_item()) | {"event": 5}, "event"),
        (webhook(None), "data"),
        (webhook("text"), "data"),
        (webhook([5, "x"]), "data[0]"),
        (webhook({"message": {}}), "data.key"),
        (webhook(text_item(key="x")), "data.key"),
        (webhook(text_item(of=key(remoteJid=None))), "data.key.remoteJid"),
        (webhook(text_item(of=key(remoteJid="@s.whatsapp.net"))), "data.key.remoteJid"),
        (webhook(text_item(of=key(remoteJid=":3@lid"))), "data.key.remoteJid"),
        (webhook(text_item(of=key(remoteJid=551198765))), "data.key.remoteJid"),
        (webhook(text_item(of=key(remoteJid=None, fromMe=True))), "data.key.remoteJid"),
    ],
)
def test_a_malformed_payload_is_refused_by_its_field(payload: Any, field: str) -> None:
    """What is not of Evolution's form is a 400 that names the field, and no value of it."""
    message = refused_field(payload)
    assert message.startswith((field, f"the {field}"))
    assert PHONE not in message


def test_a_damaged_item_costs_no_other() -> None:
    """Among good ones it is counted: a 400 would not bring the others again."""
    data = [text_item("one", of=key(id="A1")), 5, text_item(key="x"), text_item("two")]
    parsed = parse(webhook(data))
    assert [message.text for message in parsed.messages] == ["one", "two"]
    assert parsed.ignored == {"malformed": 2}


@pytest.mark.parametrize("message_id", [None, "", "  ", "x" * 257, 5, {}])
def test_a_damaged_id_costs_no_message(message_id: Any) -> None:
    """It gets one that the same webhook, sent again, would have again, and no other one."""
    made = only_message(text_item(of=key(id=message_id))).message_id
    assert only_message(text_item(of=key(id=message_id))).message_id == made
    assert only_message(text_item("other", of=key(id=message_id))).message_id != made
    assert made.startswith("hash:")


def test_a_text_in_the_place_of_a_message_is_said() -> None:
    """What is not of WhatsApp's form, and yet says something, is kept."""
    assert only_message(item("hello", None)).text == "hello"
    assert only_message(item(["hello"], None)).kind is Kind.UNKNOWN
