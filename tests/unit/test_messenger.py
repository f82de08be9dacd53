"""What Messenger's and Instagram's webhooks are read as: payloads of our own, from the rules."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import RequestRefused
from shared.model import Kind, Media, Message
from shared.providers import Address, Echo, Parsed
from shared.providers.messenger import IGNORED_KINDS, Messenger
from shared.providers.splitting import utf8_bytes_of, utf16_units_of
from shared.wire import decode_message, encode_message
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
from tests.support.parsing import INSTANCE, parse_with, recipient

RECEIVED_AT = SENT_MS + 5000
URL = "https://media.example.net/1"


def parse(payload: Any, **changes: Any) -> Parsed:
    """What is made of ``payload``; every kind it counts is one it may count."""
    parsed = parse_with(Messenger(), payload, received_at=RECEIVED_AT, **changes)
    assert parsed.ignored.keys() <= IGNORED_KINDS
    return parsed


def all_of(payload: Any, **changes: Any) -> tuple[Message, ...]:
    """The messages of ``payload``, which holds nothing else; they survive the wire."""
    parsed = parse(payload, **changes)
    assert (parsed.echoes, parsed.ignored) == ((), {})
    for message in parsed.messages:
        assert decode_message(message.instance, encode_message(message)) == message
    return parsed.messages


def only(payload: Any, **changes: Any) -> Message:
    """The one message of ``payload``."""
    (message,) = all_of(payload, **changes)
    return message


def attached(*attachments: Any, **members: Any) -> dict[str, Any]:
    """A message with these attachments."""
    return messenger(messenger_message(attachments=list(attachments), **members))


def file(kind: str, **payload: Any) -> dict[str, Any]:
    """One attachment."""
    return {"type": kind, "payload": payload}


def test_a_text_is_read_whole() -> None:
    """Each field from where the rules say."""
    item = messenger_message(text="guten Tag 🙂", reply_to={"mid": "m_BEFORE"})
    assert only(messenger(item)) == Message(
        instance=INSTANCE,
        user=PSID,
        message_id="m_INVENTED000001",
        text="guten Tag 🙂",
        kind=Kind.TEXT,
        sent_at=SENT_MS + 1,
        received_at=RECEIVED_AT,
        quoted="m_BEFORE",
        reply_to=PSID,
        provider="messenger",
    )


def test_an_address_of_instagram_says_so() -> None:
    """For its texts have another limit."""
    message = only(instagram(messenger_message(text="x", account=INSTAGRAM_ID)))
    assert (message.user, message.reply_to) == (PSID, f"instagram:{PSID}")


@pytest.mark.parametrize("stamp", [SENT_MS // 1000, str(SENT_MS // 1000)])
def test_seconds_are_taken_for_seconds(stamp: Any) -> None:
    """Some senders have them."""
    item = messenger_message(text="x") | {"timestamp": stamp}
    assert only(messenger(item)).sent_at == SENT_MS // 1000 * 1000


def test_an_answer_to_a_story_quotes_the_story() -> None:
    """It has no message that it answers."""
    story = {"story": {"id": "1790", "url": URL}}
    assert only(instagram(messenger_message(text="nice", reply_to=story))).quoted == "1790"


@pytest.mark.parametrize(
    "attachment, kind, text, media",
    [
        (file("image", url=URL), Kind.IMAGE, "", {"url": URL}),
        (file("video", url=URL), Kind.VIDEO, "", {"url": URL}),
        (file("audio", url=URL), Kind.AUDIO, "", {"url": URL}),
        (
            file("file", url=URL, title="plan.pdf"),
            Kind.DOCUMENT,
            "",
            {"url": URL, "name": "plan.pdf"},
        ),
        (file("sticker", url=URL, sticker_id=36), Kind.STICKER, "", {"url": URL, "id": "36"}),
        (file("image", url=URL, sticker_id=36), Kind.STICKER, "", {"url": URL, "id": "36"}),
        ({"type": "like_heart"}, Kind.STICKER, "", None),
        (
            file("location", coordinates={"lat": 48.25, "long": -11.5}, title="Mill"),
            Kind.LOCATION,
            "48.25,-11.5\nMill",
            None,
        ),
        (file("share", url=URL), Kind.UNKNOWN, "", {"url": URL}),
        (
            file("ig_reel", url=URL, title="How to", reel_video_id="1"),
            Kind.UNKNOWN,
            "How to",
            {"url": URL, "caption": "How to"},
        ),
        (file("story_mention", url=URL), Kind.UNKNOWN, "", {"url": URL}),
        (
            {"type": "fallback", "title": "A page", "url": URL, "payload": None},
            Kind.UNKNOWN,
            f"A page\n{URL}",
            None,
        ),
        (file("a_type_of_tomorrow", title="new"), Kind.UNKNOWN, "new", None),
        (file("image", url="javascript:1"), Kind.IMAGE, "", None),
        ("damaged", Kind.UNKNOWN, "", None),
    ],
)
def test_attachments_are_read(
    attachment: Any, kind: Kind, text: str, media: dict[str, Any] | None
) -> None:
    """Kind, text and address; a type that no rule explains is kept as unknown."""
    message = only(attached(attachment))
    assert (message.kind, message.text) == (kind, text)
    assert message.media == (None if media is None else Media(**media))


def test_a_text_beside_a_link_stays_a_text() -> None:
    """Messenger attaches a preview to what the user wrote."""
    message = only(attached(file("fallback", url=URL, title="A page"), text=f"look: {URL}"))
    assert (message.kind, message.text, message.media) == (Kind.TEXT, f"look: {URL}", None)


def test_every_picture_of_an_album_is_a_message() -> None:
    """The text stands with the first; the ids do not depend on when they come."""
    payload = attached(*(file("image", url=f"{URL}{at}") for at in range(3)), text="the roof")
    messages = all_of(payload)
    assert [
        (one.message_id, one.text, one.media.url if one.media else None) for one in messages
    ] == [
        ("m_INVENTED000001", "the roof", f"{URL}0"),
        ("m_INVENTED000001:1", "", f"{URL}1"),
        ("m_INVENTED000001:2", "", f"{URL}2"),
    ]
    assert all_of(payload) == messages


def test_a_sticker_that_comes_twice_is_one() -> None:
    """As itself and, for older apps, as an image."""
    payload = attached(
        file("image", url=URL, sticker_id=36),
        file("sticker", url=URL, sticker_id=36),
        file("image", url=f"{URL}5"),
    )
    assert [message.kind for message in all_of(payload)] == [Kind.STICKER, Kind.IMAGE]


@pytest.mark.parametrize(
    "members, text",
    [
        ({"text": "Yes", "quick_reply": {"payload": "YES-1"}}, "Yes"),
        ({"quick_reply": {"payload": "YES-1"}}, "YES-1"),
    ],
)
def test_a_quick_reply_is_a_button(members: dict[str, Any], text: str) -> None:
    """Its title is a message's text already."""
    message = only(messenger(messenger_message(**members)))
    assert (message.kind, message.text) == (Kind.BUTTON, text)
    assert message.message_id == "m_INVENTED000001"


@pytest.mark.parametrize(
    "postback, text",
    [
        ({"title": "Begin", "payload": "BEGIN"}, "Begin"),
        ({"payload": '{"a":"begin"}'}, '{"a":"begin"}'),
        ("BEGIN", "BEGIN"),
        ({}, ""),
    ],
)
def test_a_pressed_button_is_a_message(postback: Any, text: str) -> None:
    """It is not the message that it stands under, so its id says what it is."""
    first, again = (only(messenger(messaging_item(postback=postback))) for _ in range(2))
    assert (first.kind, first.text, first.user) == (Kind.BUTTON, text, PSID)
    assert first.message_id.startswith("postback:")
    assert first.message_id == again.message_id
    assert first.message_id != only(messenger(messaging_item(2, postback=postback))).message_id


def test_a_button_with_an_id_has_it() -> None:
    """Newer webhooks name the message of the press."""
    item = messaging_item(postback={"mid": "m_P1", "title": "Track"})
    assert only(messenger(item)).message_id == "postback:m_P1"


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


LONG = "Wörter, die niemand zählt. " * 200


def test_a_long_text_is_cut_for_messenger() -> None:
    """At 2000 characters."""
    parts = Messenger().split(LONG, Address(instance="a", user=PSID, reply_to=PSID))
    assert max(map(utf16_units_of, parts)) <= 2000
    assert len(parts) == 3
    assert " ".join(parts).split() == LONG.split()


@pytest.mark.parametrize("reply_to", [f"instagram:{PSID}", None])
def test_a_long_text_is_cut_shorter_for_instagram(reply_to: str | None) -> None:
    """At 1000 bytes; so it is where nobody knows which of the two it goes to."""
    parts = Messenger().split(LONG, Address(instance="a", user=PSID, reply_to=reply_to))
    assert 500 < max(map(utf8_bytes_of, parts)) <= 1000
    assert " ".join(parts).split() == LONG.split()
