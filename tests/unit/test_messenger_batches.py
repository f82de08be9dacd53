"""Which items of a webhook of Messenger or Instagram are messages, and what becomes of others."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import RequestRefused
from shared.model import Kind
from shared.providers import Echo, Parsed
from shared.providers.messenger import Messenger
from tests.support.messenger_parsing import only, parse
from tests.support.meta_payloads import (
    INSTAGRAM_ID,
    PAGE_ID,
    PSID,
    SENT_MS,
    instagram,
    messaging_item,
    messenger,
    messenger_message,
)
from tests.support.parsing import INSTANCE, recipient


@pytest.mark.parametrize("flag", [True, "true", 1])
def test_what_the_page_wrote_is_an_echo(flag: Any) -> None:
    """Of the user it went to."""
    echo = {
        "sender": {"id": PAGE_ID},
        "recipient": {"id": PSID},
        "timestamp": SENT_MS,
        "message": {"mid": "m_E1", "text": "on its way", "is_echo": flag, "app_id": 5},
    }
    expected = Parsed(echoes=(Echo(instance=INSTANCE, user=PSID, message_id="m_E1"),))
    assert parse(messenger(echo)) == expected
    del echo["message"]["is_echo"]  # type: ignore[attr-defined]
    assert parse(messenger(echo)) == expected
    echo["recipient"] = {}
    assert parse(messenger(echo)) == Parsed(ignored={"malformed": 1})


@pytest.mark.parametrize(
    "members, counted",
    [
        ({"message": {"mid": "m_1", "is_deleted": True}}, "deletion"),
        ({"message_edit": {"mid": "m_1", "text": "x", "num_edit": 1}}, "edit"),
        ({"delivery": {"mids": ["m_1"], "watermark": SENT_MS}}, "receipt"),
        ({"read": {"watermark": SENT_MS}}, "receipt"),
        ({"read": {"mid": "m_1"}}, "receipt"),
        ({"reaction": {"mid": "m_1", "action": "react", "emoji": "👍"}}, "reaction"),
        ({"reaction": {"mid": "m_1", "action": "unreact"}}, "reaction"),
        ({"optin": {"ref": "x"}}, "other"),
        ({"referral": {"ref": "x", "source": "SHORTLINK"}}, "other"),
        ({"account_linking": {"status": "linked"}}, "other"),
        ({"pass_thread_control": {"new_owner_app_id": "1"}}, "other"),
        ({"something_of_tomorrow": {}}, "other"),
        ({}, "other"),
    ],
)
def test_what_is_no_turn_is_counted(members: dict[str, Any], counted: str) -> None:
    """No answer is due for it."""
    assert parse(messenger(messaging_item(**members))) == Parsed(ignored={counted: 1})


def test_what_another_app_is_to_answer_is_counted() -> None:
    """``standby``, and what happens on the page itself."""
    item = messenger_message(text="x")
    entry = {"id": PAGE_ID, "standby": [item, item], "changes": [{"field": "feed"}]}
    expected = Parsed(ignored={"standby": 2, "other": 1})
    assert parse({"object": "page", "entry": [entry]}) == expected
    assert parse({"object": "page", "entry": [{"id": PAGE_ID}]}) == Parsed(ignored={"other": 1})


def test_the_dashboards_test_is_counted() -> None:
    """There is nobody to answer."""
    payload = messenger(messenger_message(text="x"), account="0")
    assert parse(payload) == Parsed(ignored={"test": 1})


def test_pages_and_instagram_accounts_are_told_apart() -> None:
    """An entry's id is an account of the sort that the envelope names."""
    asked = []

    def recipient_of(account: str | None, setting: str | None = None) -> None:
        asked.append((account, setting))

    for payload in (messenger(messenger_message(text="x")), instagram(messenger_message(text="x"))):
        assert parse(payload, recipient_of=recipient_of) == Parsed(ignored={"other_account": 1})
    assert asked == [(PAGE_ID, "page_id"), (INSTAGRAM_ID, "instagram_id")]


def test_everything_of_a_batch_is_read_in_order() -> None:
    """Entries times items; what comes twice counts once."""
    payload = messenger(messenger_message(1, text="a"), messaging_item(read={}))
    payload["entry"] += messenger(messenger_message(2, text="b"), messenger_message(1, text="a"))[
        "entry"
    ]
    parsed = parse(payload)
    assert [message.text for message in parsed.messages] == ["a", "b"]
    assert parsed.ignored == {"receipt": 1, "duplicate": 1}


@pytest.mark.parametrize(
    "message, kind, text",
    [
        ({"text": "kept"}, Kind.TEXT, "kept"),
        ({"mid": [], "text": "kept"}, Kind.TEXT, "kept"),
        ({"mid": "m_1", "text": {}, "attachments": {}}, Kind.UNKNOWN, ""),
        ({"mid": "m_1", "text": "kept", "quick_reply": 5, "reply_to": "x"}, Kind.TEXT, "kept"),
        ({"mid": "m_1", "is_unsupported": True}, Kind.UNKNOWN, ""),
        ({"mid": "m_1", "attachments": [{"type": [], "payload": 5}]}, Kind.UNKNOWN, ""),
        ({"mid": "m_1", "attachments": [{"type": "location"}]}, Kind.LOCATION, ""),
        ("kept", Kind.TEXT, "kept"),
        (5, Kind.TEXT, "5"),
        ([], Kind.UNKNOWN, ""),
    ],
)
def test_a_damaged_message_is_kept(message: Any, kind: Kind, text: str) -> None:
    """Whose user is known, and it counts once however often it comes."""
    item = messaging_item(message=message) | {"timestamp": "soon"}
    found, again = only(messenger(item)), parse(messenger(item, item))
    assert (again.messages, again.ignored) == ((found,), {"duplicate": 1})
    assert (found.user, found.kind, found.text, found.sent_at) == (PSID, kind, text, None)
    assert found.message_id


@pytest.mark.parametrize(
    "payload, counted",
    [
        (messenger(messenger_message(text="x") | {"sender": {}}), 1),
        (messenger(messenger_message(text="x") | {"sender": "820"}), 1),
        (messenger(messaging_item(postback={"title": "x"}) | {"sender": None}), 1),
        (messenger(5, None, "text"), 3),
        ({"object": "page", "entry": [5]}, 1),
    ],
)
def test_what_names_no_user_is_malformed(payload: Any, counted: int) -> None:
    """It is counted: a refusal would make Meta repeat the whole batch, and unsubscribe the app."""
    assert parse(payload) == Parsed(ignored={"malformed": counted})


@pytest.mark.parametrize("payload", [None, [], "page", {"object": "page"}])
def test_another_form_is_refused(payload: Any) -> None:
    """400: it is no webhook of Meta."""
    with pytest.raises(RequestRefused):
        parse(payload)


def test_another_object_is_passed_over() -> None:
    """An app may be subscribed to more; where none is named, the form says enough."""
    item = messenger_message(text="x")
    assert parse(messenger(item, kind="user")) == Parsed(ignored={"other": 1})
    unnamed = messenger(item)
    del unnamed["object"]
    assert only(unnamed).text == "x"


def test_raw_is_the_item_without_secrets() -> None:
    """Only where the instance stores it."""
    item = messenger_message(text="x")
    assert only(messenger(item)).raw is None
    raw = only(messenger(item | {"token": "t"}), recipient_of=recipient(store_raw=True)).raw
    assert raw == item


@pytest.mark.parametrize(
    "payload, account",
    [
        (messenger(), PAGE_ID),
        ({"entry": [{}, {"id": 610}]}, "610"),
        ({"entry": [5]}, None),
        ({"entry": {}}, None),
        (None, None),
    ],
)
def test_the_account_is_the_first_entrys(payload: Any, account: str | None) -> None:
    """It says whose secrets must vouch, where the path does not."""
    assert Messenger().account_of(payload) == account
