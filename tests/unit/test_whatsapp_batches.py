"""Which items of WhatsApp's webhooks are messages, whose they are, and what becomes of others."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import RequestRefused
from shared.model import Group
from shared.providers import Echo, Parsed
from shared.providers.whatsapp import WhatsApp
from tests.support.meta_payloads import (
    BSUID,
    NUMBER_ID,
    PHONE,
    contact,
    whatsapp,
    whatsapp_change,
    whatsapp_item,
    whatsapp_text,
    whatsapp_value,
    whatsapp_webhook,
)
from tests.support.parsing import INSTANCE, account_itself, recipient
from tests.support.whatsapp_parsing import only, parse

NO_NUMBER: dict[str, Any] = {"from": None}
GROUP = "4917655501020-1600000001"


def failed(code: Any) -> dict[str, Any]:
    """A receipt of a text that did not arrive."""
    return {"id": "wamid.S", "status": "failed", "errors": [{"code": code, "title": "x"}]}


@pytest.mark.parametrize(
    "kind_name, content, counted",
    [
        ("reaction", {"message_id": "wamid.A", "emoji": "👍"}, "reaction"),
        ("reaction", {"message_id": "wamid.A", "emoji": ""}, "reaction"),
        ("reaction", {"message_id": "wamid.A"}, "reaction"),
        ("edit", {"original_message_id": "wamid.A", "message": {"type": "text"}}, "edit"),
        ("revoke", {"original_message_id": "wamid.A"}, "deletion"),
        ("system", {"type": "user_changed_number", "wa_id": "4917655509999"}, "contact_update"),
        ("request_welcome", None, "other"),
        ("unsupported", {"type": "poll"}, "unsupported"),
    ],
)
def test_what_is_no_turn_is_counted(kind_name: str, content: Any, counted: str) -> None:
    """No answer is due for it."""
    assert parse(whatsapp(whatsapp_item(kind_name, content))) == Parsed(ignored={counted: 1})


@pytest.mark.parametrize(
    "field, members, counted",
    [
        ("messages", {"statuses": [{"status": "read"}, {"status": "sent"}]}, {"receipt": 2}),
        ("messages", {"statuses": [{"status": "failed"}]}, {"undelivered": 1}),
        (
            "messages",
            {"statuses": [failed(131026), failed(131047), failed("131047"), failed({})]},
            {"undelivered": 2, "outside_window": 2},
        ),
        ("messages", {"errors": [{"code": 131000}]}, {"error": 1}),
        ("messages", {}, {"other": 1}),
        ("calls", {"calls": [{"id": "c1"}, {"id": "c2"}]}, {"call": 2}),
        ("history", {"history": [{"threads": []}]}, {"history": 1}),
        ("smb_app_state_sync", {"state_sync": []}, {"contact_update": 1}),
        ("user_id_update", {"user_id_update": {}}, {"contact_update": 1}),
        ("user_preferences", {"user_preferences": [{"value": "stop"}]}, {"other": 1}),
        ("message_template_status_update", {}, {"other": 1}),
        ("a_field_of_tomorrow", {"messages": [whatsapp_text("x")]}, {"other": 1}),
    ],
)
def test_other_changes_are_counted(
    field: str, members: dict[str, Any], counted: dict[str, int]
) -> None:
    """Receipts and all that is not ``messages``: acknowledged, by kind."""
    payload = whatsapp_webhook(whatsapp_change(whatsapp_value(**members), field))
    assert parse(payload) == Parsed(ignored=counted)


def test_what_was_sent_from_the_phone_is_an_echo() -> None:
    """Of the user it went to: the number where it is known, else the id."""
    echoes = [
        {"from": "4930550001", "to": PHONE, "to_user_id": BSUID, "id": "wamid.E1", "type": "text"},
        {"to_user_id": BSUID, "id": "wamid.E2"},
        {"to_user_id": "DE.1", "id": "wamid.E3"},
        {"id": "wamid.E4"},
        {"to": PHONE, "group_id": GROUP, "id": "wamid.E5"},
    ]
    value = whatsapp_value(message_echoes=echoes, contacts=[contact(user_id=BSUID)])
    assert parse(whatsapp_webhook(whatsapp_change(value, "smb_message_echoes"))) == Parsed(
        echoes=(
            Echo(instance=INSTANCE, user=PHONE, message_id="wamid.E1"),
            Echo(instance=INSTANCE, user=PHONE, message_id="wamid.E2"),
            Echo(instance=INSTANCE, user="DE.1", message_id="wamid.E3"),
        ),
        ignored={"malformed": 1, "group": 1},
    )


@pytest.mark.parametrize(
    "members, contacts, user",
    [
        ({"from": PHONE, "from_user_id": BSUID}, [], PHONE),
        ({"from": f"+{PHONE}"}, [], PHONE),
        ({"from": int(PHONE)}, [], PHONE),
        ({"from": None, "from_user_id": BSUID}, [], BSUID),
        ({"from": BSUID}, [], BSUID),
        ({"from": "", "from_user_id": BSUID}, [contact(user_id=BSUID)], PHONE),
        ({"from": BSUID}, [contact(user_id=BSUID)], PHONE),
        ({"from": BSUID, "from_user_id": BSUID}, [contact(user_id="DE.9")], BSUID),
        ({"from": None, "from_user_id": BSUID}, [contact(user_id=BSUID, wa_id=None)], BSUID),
    ],
)
def test_one_person_is_one_user(
    members: dict[str, Any], contacts: list[dict[str, Any]], user: str
) -> None:
    """The number wherever a payload knows it, also from a contact; else the business' own id."""
    message = only(whatsapp(whatsapp_text("x", **members), contacts=contacts))
    assert (message.user, message.reply_to) == (user, user)


def test_a_contact_of_one_change_names_the_user_of_another() -> None:
    """Numbers and names are known within the whole entry."""
    unnamed = whatsapp_text("x", **NO_NUMBER, from_user_id=BSUID)
    payload = whatsapp_webhook(
        whatsapp_change(whatsapp_value(unnamed, contacts=None)),
        whatsapp_change(whatsapp_value(contacts=[contact(user_id=BSUID)], statuses=[{}])),
    )
    (message,) = parse(payload).messages
    assert (message.user, message.name) == (PHONE, "Ida Beispiel")


def test_a_user_without_a_name_has_the_username() -> None:
    """A contact's profile has either."""
    contacts = [contact(profile={"username": "ida.b"}, wa_id=None, user_id=BSUID)]
    item = whatsapp_text("x", **NO_NUMBER, from_user_id=BSUID)
    assert only(whatsapp(item, contacts=contacts)).name == "ida.b"


def test_messages_of_several_users_come_without_contacts() -> None:
    """Contacts may be missing, or fewer than the messages."""
    other = whatsapp_text("b", 2, **{"from": "4917655500002"})
    first, second = parse(whatsapp(whatsapp_text("a"), other)).messages
    assert (first.name, second.name) == ("Ida Beispiel", None)
    first, second = parse(whatsapp(whatsapp_text("a"), other, contacts=None)).messages
    assert (first.user, second.user) == (PHONE, "4917655500002")


def test_everything_of_a_batch_is_read_in_order() -> None:
    """Entries times changes times messages, for several numbers."""
    payload = whatsapp_webhook(
        whatsapp_change(whatsapp_value(whatsapp_text("a", 1), whatsapp_text("b", 2))),
        whatsapp_change(whatsapp_value(statuses=[{"status": "read"}])),
        whatsapp_change(whatsapp_value(whatsapp_text("c", 3), number_id="5550")),
    )
    payload["entry"] += whatsapp(whatsapp_text("d", 4), whatsapp_text("b", 2))["entry"]

    parsed = parse(payload, recipient_of=account_itself)

    assert [(one.instance, one.text) for one in parsed.messages] == [
        (NUMBER_ID, "a"),
        (NUMBER_ID, "b"),
        ("5550", "c"),
        (NUMBER_ID, "d"),
    ]
    assert parsed.ignored == {"receipt": 1, "duplicate": 1}


def test_another_account_is_counted() -> None:
    """With as many as it has, and nothing of it is read."""
    value = whatsapp_value(whatsapp_text("a"), statuses=[{}])
    payload = whatsapp_webhook(whatsapp_change(value), whatsapp_change({}))
    assert parse(payload, recipient_of=lambda *_: None) == Parsed(ignored={"other_account": 3})


def test_groups_are_passed_over() -> None:
    """Unless the instance takes them."""
    item = whatsapp_text("hello all", group_id=GROUP)
    assert parse(whatsapp(item)) == Parsed(ignored={"group": 1})
    assert parse(whatsapp(whatsapp_text("x", group_id={}))) == Parsed(ignored={"group": 1})
    assert only(whatsapp(whatsapp_text("x", group_id=""))).group is None


def test_a_group_has_a_window_per_author() -> None:
    """And the answer goes to the group."""
    item = whatsapp_text("hello all", group_id=GROUP)
    message = only(whatsapp(item), recipient_of=recipient(groups=True))
    assert (message.user, message.reply_to) == (f"{GROUP}/{PHONE}", GROUP)
    assert message.group == Group(id=GROUP, author=PHONE)
    assert message.name == "Ida Beispiel"
    damaged = parse(whatsapp(whatsapp_text("x", group_id=[])), recipient_of=recipient(groups=True))
    assert damaged == Parsed(ignored={"group": 1})


@pytest.mark.parametrize(
    "item, text",
    [
        (whatsapp_text("kept", id=None), "kept"),
        (whatsapp_text("kept", id={}), "kept"),
        (whatsapp_text("kept", timestamp="soon"), "kept"),
        (whatsapp_text("kept", type=None), "kept"),
        (whatsapp_text("kept", context=[], errors="x"), "kept"),
        (whatsapp_item("text", "kept"), "kept"),
        (whatsapp_item("text", ["lost"]), ""),
        (whatsapp_item("image", "not an object"), ""),
        (whatsapp_item("contacts", {"name": {"formatted_name": "kept"}}), "kept"),
        (whatsapp_item("interactive", {"type": {}, "list_reply": []}), ""),
        ({"from": PHONE}, ""),
    ],
)
def test_a_damaged_message_is_kept(item: dict[str, Any], text: str) -> None:
    """Whose user is known, and it counts once however often it comes."""
    first, again = only(whatsapp(item)), parse(whatsapp(item, item))
    assert (again.messages, again.ignored) == ((first,), {"duplicate": 1})
    assert (first.user, first.text) == (PHONE, text)
    assert first.message_id


@pytest.mark.parametrize(
    "payload, counted",
    [
        (whatsapp(whatsapp_text("x", **NO_NUMBER)), 1),
        (whatsapp(whatsapp_text("x") | {"from": {}, "from_user_id": [1]}), 1),
        (whatsapp(7, None, "text"), 3),
        (whatsapp_webhook(5, None), 2),
        ({"object": "whatsapp_business_account", "entry": [[], 1]}, 2),
    ],
)
def test_what_names_no_user_is_malformed(payload: Any, counted: int) -> None:
    """It is counted: a refusal would make Meta repeat the whole batch for a week."""
    assert parse(payload) == Parsed(ignored={"malformed": counted})


def test_sound_items_beside_damaged_ones_are_read() -> None:
    """One update that makes no sense costs no other."""
    parsed = parse(whatsapp(5, whatsapp_text("sound"), {"id": "x"}))
    assert ([one.text for one in parsed.messages], parsed.ignored) == (["sound"], {"malformed": 2})


@pytest.mark.parametrize("payload", [None, [], 5, {"object": "whatsapp_business_account"}])
def test_another_form_is_refused(payload: Any) -> None:
    """400: it is no webhook of Meta."""
    with pytest.raises(RequestRefused):
        parse(payload)


def test_an_empty_batch_is_nothing() -> None:
    """And another object's batch is passed over."""
    assert parse({"object": "whatsapp_business_account", "entry": []}) == Parsed()
    assert parse({"entry": []}) == Parsed()
    assert parse({"object": "page", "entry": [{}]}) == Parsed(ignored={"other": 1})


@pytest.mark.parametrize(
    "payload, account",
    [
        (whatsapp(whatsapp_text("x")), NUMBER_ID),
        (whatsapp_webhook(whatsapp_change({}), whatsapp_change(whatsapp_value())), NUMBER_ID),
        (whatsapp_webhook(5), None),
        (None, None),
        ({"entry": 5}, None),
        ({"entry": [None, {"changes": {}}]}, None),
    ],
)
def test_the_account_is_the_first_number(payload: Any, account: str | None) -> None:
    """It says whose secrets must vouch, where the path does not."""
    assert WhatsApp().account_of(payload) == account
