"""WAHA's events become messages and echoes, and the rest is counted by its kind."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import RequestRefused
from shared.model import Group, Kind
from shared.providers import Echo
from shared.providers.waha import Waha
from tests.support.parsing import INSTANCE, parse_with
from tests.support.waha_payloads import (
    CHAT,
    GROUP,
    LID,
    OWN_PHONE,
    PHONE,
    RAW_ID,
    RECEIVED_AT,
    SENT_S,
    SESSION,
    event,
    gows,
    media,
    noweb,
    only_message,
    own_payload,
    parse,
    payload,
    text,
    whole_id,
)


def test_a_text_is_a_message_of_its_chat() -> None:
    """Who, what, when, where to answer: all of it comes from the payload."""
    found = only_message(text("good morning", _data={"notifyName": "Inês"}))
    assert (found.instance, found.user, found.reply_to) == (INSTANCE, PHONE, CHAT)
    assert (found.message_id, found.text, found.kind) == (whole_id(), "good morning", Kind.TEXT)
    assert (found.sent_at, found.received_at) == (SENT_S * 1000, RECEIVED_AT)
    assert (found.name, found.provider, found.quoted) == ("Inês", "waha", None)
    assert (found.media, found.group, found.raw) == (None, None, None)


def test_the_session_is_the_account() -> None:
    """What the envelope names, if it can be an instance's name."""
    assert Waha().account_of(text()) == SESSION
    for session in (None, "", 5, "a\nb", ["x"]):
        assert Waha().account_of(event(payload(), session=session)) is None
    nothing: list[Any] = [None, [], "x"]
    for body in nothing:
        assert Waha().account_of(body) is None


def test_the_same_message_under_both_events_has_one_id() -> None:
    """Whoever subscribed to ``message`` and ``message.any`` gets it twice; dedupe sees one id."""
    first, second = (only_message(event(payload(body="hi"), name)) for name in EVENTS)
    assert first == second


EVENTS = ("message", "message.any")


@pytest.mark.parametrize(
    "chat, data, user",
    [
        (CHAT, None, PHONE),
        (f"{PHONE}@s.whatsapp.net", None, PHONE),
        (f"{PHONE}:12@c.us", None, PHONE),
        (LID, None, LID),
        ("70605040302010:3@lid", None, LID),
        (LID, gows({}, SenderAlt=f"{PHONE}:4@s.whatsapp.net"), PHONE),
        (LID, gows({}, Chat=LID, Sender=f"{PHONE}@s.whatsapp.net", SenderAlt=LID), PHONE),
        (LID, noweb({}, remoteJid=LID, remoteJidAlt=f"{PHONE}@s.whatsapp.net"), PHONE),
        (LID, noweb({}, remoteJid=LID, senderPn=f"{PHONE}@s.whatsapp.net"), PHONE),
        (LID, gows({}, Chat=LID, SenderAlt=""), LID),
        (LID, "x", LID),
    ],
)
def test_one_person_is_one_user(chat: str, data: Any, user: str) -> None:
    """The phone's digits wherever an engine tells them; else the linked id."""
    assert only_message(text(**{"from": chat, "id": whole_id(chat), "_data": data})).user == user


def test_a_hidden_phone_is_answered_at_the_chat_it_wrote_in() -> None:
    """The address is the chat's, also where the user is known by a phone."""
    found = only_message(
        text(**{"from": LID, "_data": gows({}, SenderAlt=f"{PHONE}@s.whatsapp.net")})
    )
    assert (found.user, found.reply_to) == (PHONE, LID)


@pytest.mark.parametrize("chat", [None, "", 5.5, {}, "@c.us", "a@b@c.us"])
def test_without_from_the_id_names_the_chat(chat: Any) -> None:
    """The chat stands in the message id too."""
    found = only_message(text(**{"from": chat}))
    assert (found.user, found.reply_to) == (PHONE, CHAT)


@pytest.mark.parametrize(
    "of, user",
    [
        (own_payload(), PHONE),
        (own_payload(**{"from": CHAT, "to": None}), PHONE),
        (own_payload(id="3EB0BARE"), PHONE),
        (own_payload(id=RAW_ID, to=None, **{"from": CHAT}), PHONE),
        (own_payload(LID), LID),
        (own_payload(LID, _data=gows({}, RecipientAlt=f"{PHONE}@s.whatsapp.net")), PHONE),
        (own_payload(LID, _data=noweb({}, remoteJidAlt=f"{PHONE}@s.whatsapp.net")), PHONE),
        (own_payload(fromMe="true"), PHONE),
        (own_payload(f"{OWN_PHONE}@c.us"), OWN_PHONE),
        (own_payload(fromMe=None, _data=gows({}, IsFromMe=True)), PHONE),
    ],
)
@pytest.mark.parametrize("name", EVENTS)
def test_what_the_account_wrote_is_an_echo(of: dict[str, Any], user: str, name: str) -> None:
    """To the chat's user, under WhatsApp's own id, with each engine."""
    parsed = parse(event(of, name))
    raw = of["id"].rpartition("_")[2]
    assert parsed.echoes == (Echo(instance=INSTANCE, user=user, message_id=raw),)
    assert (parsed.messages, parsed.ignored) == ((), {})


def test_where_nothing_says_whose_it_is_the_event_does() -> None:
    """``message`` is what others write; what ``message.any`` says depends on the id."""
    of = payload(id=whole_id(own=True), fromMe=None, body="hi")
    assert len(parse(event(of)).messages) == 1
    assert len(parse(event(of, "message.any")).echoes) == 1
    other = payload(fromMe=None, body="hi")
    assert len(parse(event(other, "message.any")).messages) == 1


def in_group(**changes: Any) -> dict[str, Any]:
    """A text in a group."""
    fields = {"id": whole_id(GROUP, author=LID), "participant": LID, "body": "anyone?"}
    return payload(GROUP, **(fields | changes))


def test_groups_are_ignored_unless_they_are_on() -> None:
    """Off by default; on, each author in a group has a conversation, answered in the group."""
    assert parse(event(in_group())).ignored == {"group": 1}
    found = only_message(event(in_group()), groups=True)
    assert found.user == f"{GROUP}/{LID}"
    assert found.group == Group(id=GROUP, author=LID)
    assert found.reply_to == GROUP


@pytest.mark.parametrize(
    "changes, author",
    [
        ({"participant": CHAT}, PHONE),
        ({"participant": None}, LID),
        ({"participant": None, "id": RAW_ID, "author": CHAT}, PHONE),
        ({"_data": gows({}, Sender=LID, SenderAlt=f"{PHONE}@s.whatsapp.net")}, PHONE),
        ({"_data": noweb({}, participantAlt=f"{PHONE}@s.whatsapp.net")}, PHONE),
        ({"_data": noweb({}, participantPn=f"{PHONE}@s.whatsapp.net")}, PHONE),
        ({"participant": None, "_data": {"author": {"_serialized": CHAT}}}, PHONE),
    ],
)
def test_the_author_in_a_group_is_one_user(changes: dict[str, Any], author: str) -> None:
    """Wherever an engine names them, and by the phone where one does."""
    found = only_message(event(in_group(**changes)), groups=True)
    assert found.group == Group(id=GROUP, author=author)


def test_what_the_account_writes_in_a_group_is_the_groups() -> None:
    """It answers no single user."""
    of = own_payload(GROUP)
    assert parse(event(of), groups=True).ignored == {"group": 1}
    nobody = in_group(participant=None, id=RAW_ID)
    assert parse(event(nobody), groups=True).ignored == {"malformed": 1}


@pytest.mark.parametrize(
    "of, kind",
    [
        (payload("status@broadcast", participant=CHAT), "broadcast"),
        (payload(id=whole_id("status@broadcast", author=CHAT), **{"from": None}), "broadcast"),
        (own_payload("status@broadcast"), "broadcast"),
        (payload("120363111@newsletter", body="news"), "newsletter"),
        (payload(_data=noweb({"call": {"callKey": "a2V5"}})), "call"),
        (payload(_data={"type": "call_log"}), "call"),
        (payload(_data=noweb({"reactionMessage": {"text": "🙂"}})), "reaction"),
        (payload(_data=gows({"pollUpdateMessage": {}})), "poll"),
        (payload(_data={"type": "e2e_notification"}), "service"),
        (payload(_data=gows({"protocolMessage": {"type": 0}})), "service"),
        (payload(_data={"type": "revoked"}), "deletion"),
        (payload(_data={"type": "ciphertext"}), "waiting"),
        (payload(id="x", **{"from": "me"}), "malformed"),
        (payload(id=None, **{"from": None}), "malformed"),
        (own_payload(id=None), "malformed"),
        ("hello", "malformed"),
        ([payload()], "malformed"),
        (None, "malformed"),
    ],
)
@pytest.mark.parametrize("name", EVENTS)
def test_what_is_no_turn_of_a_user_is_counted(of: Any, kind: str, name: str) -> None:
    """Acknowledged, and counted once; also where groups are on."""
    parsed = parse(event(of, name), groups=True)
    assert (parsed.messages, parsed.echoes, parsed.ignored) == ((), (), {kind: 1})
    assert kind in Waha().ignored_kinds


@pytest.mark.parametrize(
    "name, kind",
    [
        ("message.ack", "receipt"),
        ("message.ack.group", "receipt"),
        ("message.reaction", "reaction"),
        ("message.edited", "edit"),
        ("message.revoked", "deletion"),
        ("message.waiting", "waiting"),
        ("poll.vote", "poll"),
        ("poll.vote.failed", "poll"),
        ("presence.update", "presence"),
        ("session.status", "connection"),
        ("state.change", "connection"),
        ("group.v2.join", "group"),
        ("group.leave", "group"),
        ("call.received", "call"),
        ("label.upsert", "contact_update"),
        ("chat.archive", "contact_update"),
        ("engine.event", "other"),
        ("hologram.call", "other"),
    ],
)
def test_other_events_are_counted_by_kind(name: str, kind: str) -> None:
    """Whatever their payload looks like."""
    for of in (payload(body="hi"), own_payload(), None, 5):
        parsed = parse(event(of, name))
        assert (parsed.messages, parsed.echoes, parsed.ignored) == ((), (), {kind: 1})
    assert kind in Waha().ignored_kinds


def test_a_message_of_another_account_is_counted_so() -> None:
    """Where the connection's settings disown its session, nothing is kept."""
    parsed = parse_with(
        Waha(), text(), received_at=RECEIVED_AT, recipient_of=lambda *_account: None
    )
    assert (parsed.messages, parsed.ignored) == ((), {"other_account": 1})


@pytest.mark.parametrize(
    "value, sent_at",
    [
        (SENT_S, SENT_S * 1000),
        (SENT_S + 0.25, SENT_S * 1000 + 250),
        (str(SENT_S), SENT_S * 1000),
        (SENT_S * 1000, None),
        (0, None),
        (-1, None),
        (None, None),
        (True, None),
        ("soon", None),
        ("nan", None),
        (float("inf"), None),
        (10**400, None),
        ({}, None),
    ],
)
def test_a_time_is_seconds_or_none(value: Any, sent_at: int | None) -> None:
    """With or without a fraction; what cannot be read costs the time only."""
    assert only_message(text(timestamp=value)).sent_at == sent_at


def test_without_its_id_a_message_has_the_engines_or_its_hash() -> None:
    """The same bytes have the same id, others have another."""
    assert only_message(text(id=None, _data=noweb({}))).message_id == RAW_ID
    assert only_message(text(id=None, _data=gows({}, ID=RAW_ID))).message_id == RAW_ID
    webjs = {"id": {"_serialized": whole_id(), "id": RAW_ID, "fromMe": False}}
    assert only_message(text(id=None, _data=webjs)).message_id == whole_id()
    ids = [only_message(text(said, id=None)).message_id for said in ("one", "one", "two")]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].startswith("hash:")


@pytest.mark.parametrize("of", [None, [], "x", 5, {}, {"event": None}, {"event": " "}])
def test_what_is_no_event_is_refused(of: Any) -> None:
    """Not an object, or one that names no event: 400."""
    with pytest.raises(RequestRefused) as refused:
        parse(of)
    assert refused.value.status == 400


def test_the_raw_message_is_kept_where_it_is_asked_for() -> None:
    """Without secrets, and without bytes above the limit."""
    file = media(url=None, data="A" * 4000)
    of = payload(body="see", hasMedia=True, media=file, _data={"apikey": "planted"})
    kept = only_message(event(of), store_raw=True, inline_bytes=100).raw
    assert kept == of | {"media": of["media"] | {"data": None}, "_data": {}}
    assert OWN_PHONE in kept["to"]


def test_ids_that_are_too_long_are_told_apart() -> None:
    """One that cannot be an id is none: cut short, two of them could be one."""
    ids = {only_message(text(id=f"{whole_id()}{'x' * 300}{end}")).message_id for end in "ab"}
    assert len(ids) == 2
