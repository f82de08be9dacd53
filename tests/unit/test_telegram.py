"""Telegram's updates become messages, and what is no user's turn is counted by its kind."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import RequestRefused
from shared.model import Group, Kind
from shared.providers.telegram import Telegram
from tests.support.parsing import INSTANCE, parse_with
from tests.support.telegram_payloads import (
    CHANNEL,
    GROUP,
    MESSAGE_ID,
    RECEIVED_AT,
    SENT_S,
    UPDATE_ID,
    USER,
    chat,
    in_group,
    message,
    only_message,
    parse,
    person,
    photo_sizes,
    press,
    text,
    update,
)


def test_a_private_text_is_a_message_of_its_chat() -> None:
    """Who, what, when, where to answer: all of it comes from the update."""
    found = only_message(text("good morning"))
    assert (found.instance, found.user, found.reply_to) == (INSTANCE, str(USER), str(USER))
    assert (found.message_id, found.text, found.kind) == (str(MESSAGE_ID), "good morning", "text")
    assert (found.sent_at, found.received_at) == (SENT_S * 1000, RECEIVED_AT)
    assert (found.name, found.provider, found.quoted) == ("Ana Souza", "telegram", None)
    assert (found.media, found.group, found.raw) == (None, None, None)


def test_an_update_names_no_account() -> None:
    """The path of the webhook says which bot it is for."""
    assert Telegram().account_of(text()) is None


def test_a_command_is_a_text_as_it_was_typed() -> None:
    """``/start`` with its argument reaches the handler whole."""
    entities = [{"type": "bot_command", "offset": 0, "length": 6}]
    assert only_message(text("/start from-poster", entities=entities)).text == "/start from-poster"


def test_a_reply_names_what_it_answers() -> None:
    """``quoted`` is the other message's id, as that message had it."""
    assert only_message(text(reply_to_message=message(message_id=4700))).quoted == "4700"


def test_an_album_is_a_message_per_picture() -> None:
    """Each picture comes in an update of its own and is a message of its own."""
    parts = [
        only_message(
            update(of=message(message_id=10 + n, media_group_id="77", photo=photo_sizes(f"p{n}")))
        )
        for n in range(3)
    ]
    assert [part.message_id for part in parts] == ["10", "11", "12"]
    assert [part.media.id for part in parts if part.media] == ["p0-x", "p1-x", "p2-x"]


def test_a_pressed_button_is_a_message_with_an_id_of_its_own() -> None:
    """The id is the press's, not the message's below which the button stood."""
    found = only_message(update("callback_query", press()))
    assert (found.message_id, found.kind) == ("callback:55501234567", Kind.BUTTON)
    assert (found.text, found.quoted) == ("slot:10:30", str(MESSAGE_ID))
    assert (found.user, found.reply_to, found.name) == (str(USER), str(USER), "Ana Souza")
    assert found.sent_at is None


def test_a_button_of_an_inline_message_comes_without_a_message() -> None:
    """Who pressed is the user then, and the private chat with them the address."""
    found = only_message(update("callback_query", press(message=None, inline_message_id="x1")))
    assert (found.user, found.reply_to, found.quoted) == (str(USER), str(USER), None)


def test_groups_are_ignored_unless_they_are_on() -> None:
    """Off by default; on, each author in a group has a conversation, answered in the group."""
    said = update(of=in_group(text="anyone?"))
    assert parse(said).ignored == {"group": 1}
    found = only_message(said, groups=True)
    assert found.user == f"{GROUP}/{USER}"
    assert found.group == Group(id=str(GROUP), author=str(USER))
    assert found.reply_to == str(GROUP)


def test_a_topic_of_a_group_is_answered_in_the_topic() -> None:
    """The address has the topic, and the topic's first message is not taken for a quoted one."""
    topic = {"is_topic_message": True, "message_thread_id": 31}
    said = in_group(text="hi", reply_to_message=message(message_id=31), **topic)
    found = only_message(update(of=said), groups=True)
    assert (found.reply_to, found.quoted) == (f"{GROUP}:31", None)
    said = in_group(text="hi", reply_to_message=message(message_id=35), **topic)
    assert only_message(update(of=said), groups=True).quoted == "35"


def test_a_button_in_a_group_follows_the_same_rule() -> None:
    """A press in a group is the group's."""
    pressed = update("callback_query", press(message=in_group(text="When?")))
    assert parse(pressed).ignored == {"group": 1}
    assert only_message(pressed, groups=True).user == f"{GROUP}/{USER}"


@pytest.mark.parametrize("sort", [None, "bot_chat", 7, {}])
@pytest.mark.parametrize("number, is_private", [(USER, True), (GROUP, False)])
def test_a_chat_without_a_known_type_is_told_by_its_id(
    sort: Any, number: int, is_private: bool
) -> None:
    """Groups and channels have negative ids, people positive ones."""
    parsed = parse(text(chat={"id": number, "type": sort}))
    assert (len(parsed.messages), parsed.ignored) == ((1, {}) if is_private else (0, {"group": 1}))


@pytest.mark.parametrize(
    "payload, kind",
    [
        (update("edited_message", message(text="hello", edit_date=SENT_S + 9)), "edit"),
        (update("edited_channel_post", message()), "edit"),
        (update("channel_post", message(chat=chat("channel", CHANNEL), text="news")), "broadcast"),
        (update(of=message(chat=chat("channel", CHANNEL), text="news")), "broadcast"),
        (update("message_reaction", {"user": person()}), "reaction"),
        (update("message_reaction_count", {}), "reaction"),
        (update("my_chat_member", {"chat": chat()}), "membership"),
        (update("chat_member", {"chat": chat()}), "membership"),
        (update("inline_query", {"id": "1", "from": person(), "query": "x"}), "inline_query"),
        (update("poll_answer", {"poll_id": "1"}), "poll"),
        (update("deleted_business_messages", {}), "deletion"),
        (update("hologram_call", {}), "other"),
        ({"update_id": UPDATE_ID}, "other"),
        (update(of=None), "other"),
        (text(**{"from": person(is_bot=True)}), "bot"),
        (update(of=message(pinned_message=message(text="x"))), "service"),
        (update(of=message(new_chat_members=[person()])), "service"),
        (update(of=message(forum_topic_reopened={})), "service"),
        (update(of=message(video_chat_started={})), "service"),
    ],
)
def test_what_is_no_turn_of_a_user_is_counted(payload: Any, kind: str) -> None:
    """Acknowledged, so that Telegram does not send it again, and counted once."""
    parsed = parse(payload)
    assert (parsed.messages, parsed.ignored, parsed.echoes) == ((), {kind: 1}, ())
    assert kind in Telegram().ignored_kinds


def test_a_channels_post_in_its_discussion_group_is_no_users() -> None:
    """Telegram forwards each post of a channel into the group that discusses it."""
    said = in_group(text="news", is_automatic_forward=True)
    assert parse(update(of=said), groups=True).ignored == {"broadcast": 1}


def test_a_message_whose_account_is_anothers_is_counted_so() -> None:
    """Where the connection's settings disown it, nothing is kept."""
    parsed = parse_with(
        Telegram(), text(), received_at=RECEIVED_AT, recipient_of=lambda *_account: None
    )
    assert (parsed.messages, parsed.ignored) == ((), {"other_account": 1})


@pytest.mark.parametrize("number", [USER, str(USER), float(USER)])
def test_an_id_is_an_id_however_it_is_written(number: Any) -> None:
    """A number, its digits and a float of it are one user."""
    assert only_message(text(chat={"id": number, "type": "private"})).user == str(USER)


@pytest.mark.parametrize("chat_of", [None, {}, [], "x", {"id": None}, {"id": True}, {"id": [1]}])
def test_without_a_chat_the_author_is_the_user(chat_of: Any) -> None:
    """In a private chat both are the same."""
    assert only_message(text(chat=chat_of)).user == str(USER)


def test_without_any_user_a_message_is_malformed() -> None:
    """Nobody could be answered; Telegram must not send it again for that."""
    assert parse(text(chat={}, **{"from": {}})).ignored == {"malformed": 1}
    assert parse(update(of="hello")).ignored == {"malformed": 1}
    assert parse(update("callback_query", [1])).ignored == {"malformed": 1}
    nobody = in_group(text="hi", **{"from": {"id": 1e400}})
    assert parse(update(of=nobody), groups=True).ignored == {"malformed": 1}


@pytest.mark.parametrize("damage", [None, 0, "", {}, "x", 2**70])
def test_without_its_id_a_message_has_the_updates(damage: Any) -> None:
    """The update's number is the same when Telegram sends it again."""
    assert only_message(text(message_id=damage)).message_id == f"update:{UPDATE_ID}"


def test_without_any_id_a_message_has_its_hash() -> None:
    """The same bytes have the same id, others have another."""
    ids = [
        only_message({"message": message(message_id=None, text=said)}).message_id
        for said in ("one", "one", "two")
    ]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].startswith("hash:")


@pytest.mark.parametrize("payload", [None, [], [text()], "x", 5, {}, {"update_id": "x"}, {"a": 1}])
def test_what_is_no_update_is_refused(payload: Any) -> None:
    """Not an object, or one without anything of an update: 400."""
    with pytest.raises(RequestRefused) as refused:
        parse(payload)
    assert refused.value.status == 400


@pytest.mark.parametrize("date", [None, 0, -5, "soon", 10**15, [1]])
def test_a_time_that_cannot_be_read_is_none(date: Any) -> None:
    """The message is kept without it."""
    assert only_message(text(date=date)).sent_at is None


def test_the_raw_message_is_kept_where_it_is_asked_for() -> None:
    """As it came, without what is called a secret."""
    kept = only_message(text("hi", token="planted"), store_raw=True).raw
    assert kept == message(text="hi")
    assert only_message(update("callback_query", press()), store_raw=True).raw == press()
