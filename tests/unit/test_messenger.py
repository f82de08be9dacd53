"""What a message of Messenger or Instagram is read as: payloads of our own, from the rules."""

from __future__ import annotations

from typing import Any

import pytest

from shared.model import Kind, Media, Message
from tests.support.messenger_parsing import RECEIVED_AT, all_of, only
from tests.support.meta_payloads import (
    INSTAGRAM_ID,
    PSID,
    SENT_MS,
    instagram,
    messaging_item,
    messenger,
    messenger_message,
)
from tests.support.parsing import INSTANCE

URL = "https://media.example.net/1"


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
