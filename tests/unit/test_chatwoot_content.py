"""What a Chatwoot message says: its text, its files, and one message for each further file."""

from __future__ import annotations

from typing import Any

import pytest

from shared.model import Kind, Media
from tests.support.chatwoot_payloads import (
    FILES,
    attachment,
    conversation,
    incoming,
    only_message,
    parse,
    repeated,
)


@pytest.mark.parametrize(
    "file_type, kind",
    [
        ("image", Kind.IMAGE),
        ("audio", Kind.AUDIO),
        ("video", Kind.VIDEO),
        ("file", Kind.DOCUMENT),
        ("Image", Kind.IMAGE),
        ("sticker", Kind.STICKER),
        ("ig_reel", Kind.UNKNOWN),
        ("hologram", Kind.UNKNOWN),
        (None, Kind.UNKNOWN),
    ],
)
@pytest.mark.parametrize("content", [None, "this one"])
def test_a_file_is_kept_with_its_address(file_type: Any, kind: Kind, content: str | None) -> None:
    """Whatever it is, with the text that came along; ``content_type`` stays ``text``."""
    file = attachment(file_type, "table.jpg", content_type="image/jpeg", file_name="table.jpg")
    message = only_message(incoming(content, attachments=[file]))
    assert (message.kind, message.text) == (kind, content or "")
    assert message.media == Media(
        url=f"{FILES}/table.jpg",
        id="70",
        mime="image/jpeg",
        caption=content,
        name="table.jpg",
        size_bytes=6144,
    )


def test_every_file_of_several_is_kept() -> None:
    """The first carries the message's id, its text and its raw form; the others follow in order."""
    files = [attachment("image", f"{number}.jpg") for number in range(3)]
    payload = incoming("these", attachments=[*files, "no file"])
    messages = parse(payload, store_raw=True).messages
    assert [message.message_id for message in messages] == ["1001", "1001:1", "1001:2"]
    assert [message.text for message in messages] == ["these", "", ""]
    assert [message.media.url if message.media else None for message in messages] == [
        f"{FILES}/{number}.jpg" for number in range(3)
    ]
    assert [message.raw is None for message in messages] == [False, True, True]
    assert len({message.reply_to for message in messages}) == 1


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"coordinates_lat": -23.5, "coordinates_long": -46.625}, "-23.5,-46.625"),
        (
            {"coordinates_lat": 52, "coordinates_long": 13, "fallback_title": "Café, Main St 1"},
            "52,13\nCafé, Main St 1",
        ),
        ({"coordinates_lat": 0.0, "coordinates_long": 0.0, "fallback_title": "Café"}, "Café"),
        ({"coordinates_lat": 0.0, "coordinates_long": 13.5}, "0.0,13.5"),
        ({"coordinates_lat": None}, ""),
        ({"coordinates_lat": [1], "coordinates_long": {}}, ""),
    ],
)
def test_a_place_is_told_in_lines(changes: dict[str, Any], text: str) -> None:
    """Where it is, then what it is called; both numbers are 0 where the channel gave none."""
    place = attachment("location", data_url="https://maps.example.org/?q=1", **changes)
    message = only_message(incoming(None, attachments=[place]))
    assert (message.kind, message.text, message.media) == (Kind.LOCATION, text, None)


@pytest.mark.parametrize(
    "meta, text",
    [
        ({"firstName": "Ben", "lastName": "Bo"}, "Ben Bo\n+4930123"),
        ({"first_name": "Ben"}, "Ben\n+4930123"),
        (None, "+4930123"),
        ([], "+4930123"),
    ],
)
def test_a_card_is_told_in_lines(meta: Any, text: str) -> None:
    """Who it is, and the number."""
    card = attachment("contact", fallback_title="+4930123", meta=meta)
    message = only_message(incoming(None, attachments=[card]))
    assert (message.kind, message.text, message.media) == (Kind.CONTACT, text, None)


def test_a_link_keeps_its_title_and_address() -> None:
    """What channels cannot say otherwise comes as ``fallback``."""
    link = attachment("fallback", fallback_title="Our menu", data_url="https://example.org/menu")
    message = only_message(incoming("look", attachments=[link]))
    assert (message.kind, message.text) == (Kind.UNKNOWN, "look\nOur menu")
    assert message.media is not None
    assert message.media.url == "https://example.org/menu"


def test_what_a_voice_note_says_is_its_text() -> None:
    """Where Chatwoot has written it down."""
    voice = attachment("audio", "voice.ogg", transcribed_text="call me")
    assert only_message(incoming(None, attachments=[voice])).text == "call me"


@pytest.mark.parametrize("url", ["data:image/png;base64,AAAA", "/rails/a.jpg", 5, None])
def test_what_is_no_address_is_left_out(url: Any) -> None:
    """The file is known of, and cannot be fetched."""
    message = only_message(incoming(attachments=[attachment("image", data_url=url)]))
    assert message.media is not None
    assert (message.kind, message.media.url) == (Kind.IMAGE, None)


def test_a_file_may_stand_in_the_repeated_message_alone() -> None:
    """Some versions leave it out at the top."""
    listed = repeated(content=None, attachments=[attachment("image", "table.jpg")])
    message = only_message(incoming(None, conversation=conversation(messages=[listed])))
    assert message.kind is Kind.IMAGE


@pytest.mark.parametrize(
    "content, content_type, kind",
    [
        ("hi", "text", Kind.TEXT),
        ("hi", None, Kind.TEXT),
        ("hi", "incoming_email", Kind.TEXT),
        ("hi", "form", Kind.UNKNOWN),
        ("hi", "voice_call", Kind.UNKNOWN),
        (None, "text", Kind.UNKNOWN),
        ("  ", "text", Kind.UNKNOWN),
        (None, "sticker", Kind.STICKER),
        (["hi"], "text", Kind.UNKNOWN),
    ],
)
def test_without_files_it_is_a_text_or_unknown(content: Any, content_type: Any, kind: Kind) -> None:
    """A file that got lost leaves an empty ``text``: the message is kept all the same."""
    message = only_message(incoming(content, content_type=content_type))
    assert message.kind is kind
    assert message.text == (content if content == "hi" else "")


@pytest.mark.parametrize("attachments", [None, "x", {}, [], [None], {"0": {}}])
def test_damaged_attachments_cost_nothing(attachments: Any) -> None:
    """The text is kept."""
    assert only_message(incoming("hi", attachments=attachments)).text == "hi"
