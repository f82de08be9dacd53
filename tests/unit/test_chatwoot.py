"""Chatwoot's events become messages and echoes, and what is neither is counted by kind."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import RequestRefused
from shared.model import Group, Kind, Message
from shared.providers import Echo, Parsed, Recipient
from shared.providers.chatwoot import Chatwoot
from tests.support.chatwoot_payloads import (
    ACCOUNT_ID,
    CONTACT_ID,
    CONVERSATION_ID,
    INBOX_ID,
    PHONE,
    PUBSUB_TOKEN,
    RECEIVED_AT,
    SENT_S,
    agent,
    contact,
    conversation,
    incoming,
    only_message,
    outgoing,
    parse,
    repeated,
    source,
)
from tests.support.parsing import INSTANCE, account_itself

GROUP = "120363000000000001@g.us"


def ignored(payload: Any, **changes: Any) -> dict[str, int]:
    """What an event is counted as that holds neither message nor echo."""
    parsed = parse(payload, **changes)
    assert parsed.messages == ()
    assert parsed.echoes == ()
    assert parsed.ignored.keys() <= Chatwoot.ignored_kinds
    return parsed.ignored


def test_a_text_becomes_a_message_with_every_field() -> None:
    """Who, what, when, under which id, and in which conversation an answer goes."""
    quoted = {"in_reply_to": 990, "in_reply_to_external_id": "wamid.Q"}
    assert only_message(incoming("are you open?", content_attributes=quoted)) == Message(
        instance=INSTANCE,
        user=PHONE,
        message_id="1001",
        text="are you open?",
        kind=Kind.TEXT,
        sent_at=SENT_S * 1000 + 250,
        received_at=RECEIVED_AT,
        quoted="990",
        name="Ana",
        reply_to=str(CONVERSATION_ID),
        provider="chatwoot",
    )


@pytest.mark.parametrize("way", ["incoming", "Incoming", 0, "0"])
def test_the_way_of_a_message_is_known_in_both_spellings(way: Any) -> None:
    """Webhooks write it as a word, the conversation's list as a number."""
    assert only_message(incoming(message_type=way)).text == "hi"


@pytest.mark.parametrize(
    "status, with_human",
    [
        ("pending", False),
        ("pEnDiNg", False),
        ("open", True),
        ("snoozed", True),
        ("resolved", True),
        (None, False),
        (7, True),
    ],
)
def test_who_has_the_conversation_is_kept_with_the_message(status: Any, with_human: bool) -> None:
    """The bot has it while it is pending; a payload that does not say is the bot's."""
    message = only_message(incoming(conversation=conversation(status=status)))
    assert message.with_human is with_human


def test_what_is_missing_at_the_top_is_taken_from_the_repeated_message() -> None:
    """The conversation holds the message once more, with numbers for type and time."""
    payload = incoming(conversation=source(None, messages=[repeated(content="there")], meta=None))
    kept = ("event", "id", "inbox", "conversation")
    bare = {name: payload[name] for name in kept}
    message = only_message(bare)
    assert (message.text, message.sent_at, message.name) == ("there", SENT_S * 1000, "Ana")


def test_another_message_of_the_conversation_is_not_it() -> None:
    """Only the one with the same id is asked for what is missing."""
    others = conversation(messages=[repeated(id=5, content="old"), repeated(id=6)])
    assert only_message(incoming(None, conversation=others)).text == ""


@pytest.mark.parametrize(
    "created_at, sent_at",
    [
        ("2025-10-09T08:53:20.000Z", SENT_S * 1000),
        ("2025-10-09T10:53:20+02:00", SENT_S * 1000),
        ("2025-10-09 08:53:20 UTC", SENT_S * 1000),
        ("2025-10-09T08:53:20", SENT_S * 1000),
        (SENT_S, SENT_S * 1000),
        (str(SENT_S), SENT_S * 1000),
        ("2025-13-45T99:99:99Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("1969-12-31T00:00:00Z", None),
        (10**15, None),
        (-1, None),
        (None, None),
        ("soon", None),
    ],
)
def test_a_time_is_read_in_every_spelling(created_at: Any, sent_at: int | None) -> None:
    """ISO text, an older form of it, or seconds; anything else is no time."""
    assert only_message(incoming(created_at=created_at)).sent_at == sent_at


def test_an_agents_answer_is_an_echo() -> None:
    """Ours are among them, under the id that sending them gave; the user is the contact."""
    expected = Echo(instance=INSTANCE, user=PHONE, message_id="2001")
    assert parse(outgoing()) == Parsed(echoes=(expected,))
    unnamed = outgoing(conversation=source(None))
    assert parse(unnamed).echoes[0].user == str(CONTACT_ID)


def test_an_answer_from_the_connected_phone_is_an_echo() -> None:
    """It has no sender in Chatwoot, and is a person's all the same."""
    phoned = outgoing(sender=None, content_attributes={"external_echo": True})
    assert [echo.message_id for echo in parse(phoned).echoes] == ["2001"]


def test_the_sender_of_an_answer_may_stand_in_the_repeated_message() -> None:
    """Where the top has none."""
    listed = repeated(id=2001, message_type=1, sender_type="User", sender=agent())
    payload = outgoing(sender=None, conversation=conversation(messages=[listed]))
    assert len(parse(payload).echoes) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": agent(type="agent_bot")},
        {"sender": agent(type="captain_assistant")},
        {"sender": None},
        {"content_attributes": {"automation_rule_id": 7}},
        {"additional_attributes": {"campaign_id": 3}},
    ],
)
def test_what_no_person_wrote_is_counted_as_a_bots(changes: dict[str, Any]) -> None:
    """Bots, rules and campaigns are no sign that a person has taken over."""
    assert ignored(outgoing(**changes)) == {"bot": 1}


@pytest.mark.parametrize(
    "payload, kind",
    [
        (outgoing(private=True), "private_note"),
        (incoming(private=True), "private_note"),
        (outgoing(private="true"), "private_note"),
        (
            incoming(conversation=conversation(messages=[repeated(private=True)]), private=None),
            "private_note",
        ),
        (incoming("<p>Your address?</p>", message_type="template", sender=None), "template"),
        (incoming(message_type=3), "template"),
        (incoming("Ben was assigned", message_type="activity"), "activity"),
        (incoming(message_type="whisper"), "other"),
        (incoming(message_type=...), "other"),
        (incoming(event="message_updated"), "edit"),
        (outgoing(event="message_updated", status="read"), "receipt"),
        (
            outgoing(event="message_updated", content_attributes={"external_error": "470: late"}),
            "undelivered",
        ),
        (incoming(event="message_updated", content_attributes={"deleted": True}), "deletion"),
        ({**conversation(messages=[repeated()]), "event": "conversation_created"}, "conversation"),
        ({**conversation(), "event": "conversation_status_changed"}, "conversation"),
        ({**conversation(), "event": "conversation_updated"}, "conversation"),
        ({"event": "conversation_typing_on", "conversation": {"id": "31"}}, "presence"),
        ({"event": "conversation_typing_off", "is_private": True}, "presence"),
        ({**contact(), "event": "contact_created"}, "contact_update"),
        ({**contact(), "event": "contact_updated"}, "contact_update"),
        ({"event": "webwidget_triggered", "contact": contact()}, "other"),
        ({"event": "something_new"}, "other"),
    ],
)
def test_everything_else_is_counted_by_kind(payload: Any, kind: str) -> None:
    """Notes, templates, remarks, changes and whatever comes next: answered, and kept nowhere."""
    assert ignored(payload) == {kind: 1}


@pytest.mark.parametrize(
    "chat, kind",
    [(GROUP, "group"), ("status@broadcast", "broadcast"), ("1@newsletter", "newsletter")],
)
def test_groups_and_channels_are_ignored(chat: str, kind: str) -> None:
    """Bridges make one contact of a whole WhatsApp group."""
    for payload in (
        incoming(conversation=source(chat)),
        incoming(sender=contact(identifier=chat)),
        incoming(sender=contact(custom_attributes={"waha_whatsapp_chat_id": chat})),
        outgoing(conversation=source(chat)),
    ):
        assert ignored(payload) == {kind: 1}


def test_a_group_is_kept_where_groups_are_on() -> None:
    """All that Chatwoot knows of who wrote is the contact that it made of the group."""
    message = only_message(incoming(conversation=source(GROUP)), groups=True)
    assert message.group == Group(id=GROUP, author=str(CONTACT_ID))
    assert message.user == f"{GROUP}/{CONTACT_ID}"
    assert message.reply_to == str(CONVERSATION_ID)
    channel = incoming(conversation=source("1@newsletter"))
    assert ignored(channel, groups=True) == {"newsletter": 1}


@pytest.mark.parametrize(
    "payload, account",
    [
        (incoming(), str(INBOX_ID)),
        (incoming(inbox=None), str(INBOX_ID)),
        ({**conversation(), "event": "conversation_created"}, str(INBOX_ID)),
        ({**contact(), "event": "contact_created"}, None),
        ([], None),
        ("x", None),
    ],
)
def test_the_inbox_is_the_account(payload: Any, account: str | None) -> None:
    """Its number is unique in a whole Chatwoot."""
    assert Chatwoot().account_of(payload) == account
    if isinstance(payload, dict) and payload.get("event") == "message_created":
        assert parse(payload, recipient_of=account_itself).messages[0].instance == account


def test_what_is_for_another_inbox_is_counted() -> None:
    """An account's webhook tells of all its inboxes."""
    assert ignored(incoming(), recipient_of=lambda *_named: None) == {"other_account": 1}


@pytest.mark.parametrize("tenant, kept", [(None, True), (str(ACCOUNT_ID), True), ("999", False)])
def test_what_is_of_another_chatwoot_account_is_counted(tenant: str | None, *, kept: bool) -> None:
    """Its conversation 31 is somebody else's than ours: a bot of a whole Chatwoot serves both."""
    whose = Recipient(instance=INSTANCE, tenant=tenant)
    parsed = parse(incoming(), recipient_of=lambda *_named: whose)
    assert (len(parsed.messages), parsed.ignored) == (
        (1, {}) if kept else (0, {"other_account": 1})
    )
    untold = incoming()
    del untold["account"]
    assert parse(untold, recipient_of=lambda *_named: whose).messages


@pytest.mark.parametrize(
    "payload, named",
    [([], "body"), ("hi", "body"), (None, "body"), ({}, "event"), ({"event": 5}, "event")],
)
def test_what_is_no_event_is_refused(payload: Any, named: str) -> None:
    """400, and the error names what is missing."""
    with pytest.raises(RequestRefused, match=named) as caught:
        parse(payload)
    assert caught.value.status == 400


def test_raw_is_kept_where_it_is_asked_for_and_without_secrets() -> None:
    """The contact's socket token would let its holder read along."""
    assert only_message(incoming()).raw is None
    raw = only_message(incoming(), store_raw=True).raw
    assert raw["content"] == "hi"
    assert raw["conversation"]["contact_inbox"]["source_id"] == PHONE
    assert PUBSUB_TOKEN not in str(raw)
