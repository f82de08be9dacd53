"""Whom a message is from or to, in every spelling that Evolution's versions have for it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import RequestRefused
from shared.model import Group
from shared.providers import Echo, Parsed
from tests.support.evolution_payloads import (
    INSTANCE,
    LID,
    MESSAGE_ID,
    PHONE,
    item,
    key,
    only_message,
    parse,
    text_item,
    webhook,
)
from tests.support.parsing import recipient

JID = f"{PHONE}@s.whatsapp.net"
GROUP = "120363000000000001@g.us"
OTHER_LID = "11223344556677"
WITH_GROUPS = {"recipient_of": recipient(INSTANCE, groups=True)}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"remoteJid": f"{PHONE}:12@s.whatsapp.net"},
        {"remoteJid": f" {JID} "},
        {"remoteJid": f"{PHONE}@c.us"},
        {"remoteJid": f"{PHONE}:3@hosted"},
        {"remoteJid": JID, "remoteJidAlt": f"{LID}:20@lid", "addressingMode": "pn"},
        {"remoteJid": f"{LID}@lid", "remoteJidAlt": JID, "addressingMode": "lid"},
        {"remoteJid": f"{LID}@lid", "senderPn": JID, "senderLid": f"{LID}@lid"},
        {"remoteJid": f"{LID}:7@lid", "remoteJidAlt": "", "senderPn": f"{PHONE}:1@s.whatsapp.net"},
        {"remoteJid": f"{LID}@hosted.lid", "remoteJidAlt": f"{PHONE}@hosted"},
        {"remoteJid": JID, "previousRemoteJid": f"{LID}@lid"},
        {"remoteJid": None, "remoteJidAlt": JID},
        {"remoteJid": {"user": PHONE}, "senderPn": JID},
        {"remoteJid": f"{LID}@lid", "senderPn": PHONE},
        {"remoteJid": PHONE},
    ],
)
def test_a_person_is_one_user_whatever_field_has_the_phone(changes: dict[str, Any]) -> None:
    """The phone, without device, domain or linked id; the answer goes to the phone's jid."""
    message = only_message(text_item(of=key(**changes)))
    assert (message.user, message.reply_to) == (PHONE, JID)


@pytest.mark.parametrize(
    "changes",
    [
        {"remoteJid": f"{LID}:3@lid"},
        {"remoteJid": f"{LID}@hosted.lid", "participant": ""},
        {"remoteJid": "@s.whatsapp.net", "senderLid": f"{LID}@lid"},
        {"remoteJid": f"{LID}@lid", "remoteJidAlt": "12345@bot", "senderPn": "x" * 300},
    ],
)
def test_a_linked_id_alone_stays_one(changes: dict[str, Any]) -> None:
    """Where no field knows the phone the linked id is the user, and is answered."""
    message = only_message(text_item(of=key(**changes)))
    assert (message.user, message.reply_to) == (f"{LID}@lid", f"{LID}@lid")


@pytest.mark.parametrize("from_me", [True, "true", 1])
@pytest.mark.parametrize(
    "changes, user",
    [
        ({}, PHONE),
        ({"remoteJid": f"{PHONE}:2@s.whatsapp.net"}, PHONE),
        ({"remoteJid": JID, "remoteJidAlt": f"{LID}@lid"}, PHONE),
        ({"remoteJid": f"{LID}@lid", "remoteJidAlt": JID}, PHONE),
        ({"remoteJid": f"{LID}@lid"}, f"{LID}@lid"),
        ({"remoteJid": f"{LID}@lid", "senderPn": "5511000000009@s.whatsapp.net"}, f"{LID}@lid"),
    ],
)
def test_an_echo_is_known_by_its_reader(changes: dict[str, Any], user: str, from_me: Any) -> None:
    """The account's own words name to whom they went: its own number is nobody's."""
    data = text_item(of=key(fromMe=from_me, **changes))
    echo = Echo(instance=INSTANCE, user=user, message_id=MESSAGE_ID)
    assert parse(webhook(data)) == Parsed(echoes=(echo,))


def test_an_echo_of_every_kind_is_one() -> None:
    """A photo from the phone is an answer as well as a text."""
    data = item({"imageMessage": {"mimetype": "image/jpeg"}}, of=key(fromMe=True))
    assert len(parse(webhook(data)).echoes) == 1


@pytest.mark.parametrize(
    "changes, author",
    [
        ({"participant": JID}, PHONE),
        ({"participant": f"{PHONE}:9@s.whatsapp.net"}, PHONE),
        ({"participant": f"{LID}@lid", "participantAlt": JID}, PHONE),
        ({"participant": f"{LID}@lid", "participantPn": JID}, PHONE),
        ({"participant": f"{LID}@lid", "senderPn": JID}, PHONE),
        ({"participant": f"{LID}:4@lid"}, f"{LID}@lid"),
        ({"participant": "", "participantLid": f"{LID}@lid"}, f"{LID}@lid"),
    ],
)
def test_in_a_group_each_author_is_a_conversation(changes: dict[str, Any], author: str) -> None:
    """Where groups are on: the author is known in every spelling, the answer goes to the group."""
    message = only_message(text_item(of=key(remoteJid=GROUP, **changes)), **WITH_GROUPS)
    assert message.user == f"{GROUP}/{author}"
    assert message.group == Group(id=GROUP, author=author)
    assert message.reply_to == GROUP


def test_the_author_may_stand_beside_the_key() -> None:
    """Baileys has it at both places; a phone there is better than a linked id in the key."""
    data = text_item(of=key(remoteJid=GROUP, participant=f"{LID}@lid"), participant=JID)
    assert only_message(data, **WITH_GROUPS).group == Group(id=GROUP, author=PHONE)


def test_two_authors_of_a_group_are_two_users() -> None:
    """One's window is not the other's."""
    data = [
        text_item(of=key(remoteJid=GROUP, participant=f"{LID}@lid", id="A1")),
        text_item(of=key(remoteJid=GROUP, participant=f"{OTHER_LID}@lid", id="A2")),
    ]
    users = [message.user for message in parse(webhook(data), **WITH_GROUPS).messages]
    assert users == [f"{GROUP}/{LID}@lid", f"{GROUP}/{OTHER_LID}@lid"]


def test_our_own_words_in_a_group_are_nobodys() -> None:
    """Which of a group's conversations they belong to cannot be told."""
    data = text_item(of=key(remoteJid=GROUP, participant=JID, fromMe=True))
    assert parse(webhook(data), **WITH_GROUPS) == Parsed(ignored={"group": 1})


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"remoteJid": GROUP}, "data.key.participant"),
        ({"remoteJid": GROUP, "participant": GROUP}, "data.key.participant"),
        ({"remoteJid": "@g.us", "participant": JID}, "data.key.remoteJid"),
        ({"remoteJid": "x" * 300 + "@g.us", "participant": JID}, "data.key.remoteJid"),
    ],
)
def test_a_group_message_of_nobody_is_refused(changes: dict[str, Any], field: str) -> None:
    """Without group or author there is no conversation that it could belong to."""
    with pytest.raises(RequestRefused, match=f"^{field} must name"):
        parse(webhook(text_item(of=key(**changes))), **WITH_GROUPS)


@pytest.mark.parametrize("domain", ["broadcast", "newsletter"])
def test_status_and_channels_stay_ignored(domain: str) -> None:
    """Also where groups are on."""
    data = text_item(of=key(remoteJid=f"120363000000000002@{domain}", participant=JID))
    assert parse(webhook(data), **WITH_GROUPS) == Parsed(ignored={domain: 1})
