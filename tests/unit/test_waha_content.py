"""What a WAHA message says, whichever engine tells it: kind, text, file, quoted message."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from shared.model import Kind
from tests.support.waha_payloads import gows, media, noweb, only_message, text, whole_id

ENGINE_KINDS = [
    ({"type": "chat"}, Kind.TEXT),
    ({"type": "ptt"}, Kind.AUDIO),
    ({"type": "sticker"}, Kind.STICKER),
    ({"type": "list_response"}, Kind.LIST),
    ({"type": "buttons_response"}, Kind.BUTTON),
    ({"type": "hologram"}, Kind.TEXT),
    (gows({"conversation": "hi"}), Kind.TEXT),
    (gows({"stickerMessage": {"mimetype": "image/webp"}}), Kind.STICKER),
    (noweb({"ephemeralMessage": {"message": {"videoMessage": {"seconds": 3}}}}), Kind.VIDEO),
    (noweb({"documentMessage": {"fileName": "a.pdf"}}), Kind.DOCUMENT),
    (gows({"listResponseMessage": {"title": "Book"}}), Kind.LIST),
]


@pytest.mark.parametrize("data, kind", ENGINE_KINDS)
def test_the_engine_tells_the_kind(data: dict[str, Any], kind: Kind) -> None:
    """By WEBJS's type, or by WhatsApp's own message."""
    found = only_message(text("hi", _data=data))
    assert (found.kind, found.text) == (kind, "hi")


@pytest.mark.parametrize(
    "mime, kind",
    [
        ("image/jpeg", Kind.IMAGE),
        ("video/mp4", Kind.VIDEO),
        ("audio/ogg; codecs=opus", Kind.AUDIO),
        ("application/pdf", Kind.DOCUMENT),
        ("text/plain", Kind.DOCUMENT),
        (None, Kind.UNKNOWN),
    ],
)
def test_where_the_engine_is_silent_the_file_tells_the_kind(mime: Any, kind: Kind) -> None:
    """By its MIME type; a file of no known type is kept all the same."""
    file = media() | {"mimetype": mime}
    found = only_message(text("see", hasMedia=True, media=file))
    assert (found.kind, found.text) == (kind, "see")
    assert found.media is not None
    assert (found.media.mime, found.media.id) == (mime, whole_id())
    assert (found.media.url, found.media.caption) == (file["url"], "see")


def test_a_file_has_its_name_size_and_length() -> None:
    """WAHA has the name, its engine the rest."""
    spoken = noweb({"audioMessage": {"seconds": 7, "fileLength": "8123", "mimetype": "audio/ogg"}})
    found = only_message(
        text(None, hasMedia=True, media=media("audio/ogg", filename="v.oga"), _data=spoken)
    ).media
    assert found is not None
    assert (found.name, found.size_bytes, found.duration_s) == ("v.oga", 8123, 7)
    webjs = {"type": "video", "duration": "12", "size": 900, "mimetype": "video/mp4"}
    found = only_message(text(None, hasMedia=True, media=None, _data=webjs)).media
    assert found is not None
    assert (found.mime, found.size_bytes, found.duration_s) == ("video/mp4", 900, 12)


@pytest.mark.parametrize("file", [None, {}, {"url": None, "error": {"message": "gone"}}, "x"])
def test_a_file_that_waha_did_not_fetch_is_known_by_its_id(file: Any) -> None:
    """The message is kept without an address."""
    found = only_message(text(None, hasMedia=True, media=file)).media
    assert found is not None
    assert (found.id, found.url, found.omitted) == (whole_id(), None, False)


DATA = base64.b64encode(bytes(3000)).decode()


@pytest.mark.parametrize(
    "file",
    [
        media(url=None, data=DATA),
        media(url=None, data=f"data:image/jpeg;base64,{DATA}"),
        media(url=f"data:image/jpeg;base64,{DATA}"),
    ],
)
@pytest.mark.parametrize("limit, omitted", [(3000, False), (2999, True)])
def test_bytes_that_come_inline_are_kept_or_cut(
    file: dict[str, Any], limit: int, omitted: bool
) -> None:
    """Above the limit they are cut out, and the message stays."""
    found = only_message(text("see", hasMedia=True, media=file), inline_bytes=limit).media
    assert found is not None
    assert (found.data, found.omitted) == ((None, True) if omitted else (DATA, False))
    assert (found.size_bytes, found.url) == (3000, None)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:x", "http://", "http://[", "x"])
def test_only_addresses_that_can_be_fetched_are_passed_on(url: str) -> None:
    """Anything else is no url."""
    found = only_message(text(None, hasMedia=True, media=media(url=url))).media
    assert found is not None
    assert found.url is None


def test_a_place_is_its_point_and_its_name() -> None:
    """WEBJS puts a thumbnail into the body, which is not what was said."""
    place = {"latitude": "38.7", "longitude": "-9.125", "description": "Kiosk\nRiver side"}
    found = only_message(text("/9j/4AAQ", location=place, _data={"type": "location"}))
    assert (found.kind, found.text) == (Kind.LOCATION, "38.7,-9.125\nKiosk\nRiver side")
    assert only_message(text(None, location=place)).kind is Kind.LOCATION
    told = gows({"locationMessage": {"degreesLatitude": 1.5, "degreesLongitude": 2.5}})
    assert only_message(text(None, _data=told)).text == "1.5,2.5"


def test_cards_are_their_names_and_themselves() -> None:
    """Several in one message too."""
    cards = [f"BEGIN:VCARD\nFN:{name}\nTEL:+351 9\nEND:VCARD" for name in ("Rui", "Lia")]
    found = only_message(text(cards[0], vCards=cards, _data={"type": "multi_vcard"}))
    assert found.kind is Kind.CONTACT
    assert found.text == f"Rui\n{cards[0]}\nLia\n{cards[1]}"
    assert only_message(text(None, vCards=cards)).kind is Kind.CONTACT
    assert only_message(text("BEGIN:VCARD", _data={"type": "vcard"})).text == "BEGIN:VCARD"


@pytest.mark.parametrize(
    "reply_to, quoted",
    [
        ({"id": whole_id(own=True), "body": "friday?", "media": media()}, whole_id(own=True)),
        ({"id": "3EB0OLD"}, "3EB0OLD"),
        ({"id": {"_serialized": "true_x_1"}}, "true_x_1"),
        ({"id": None}, None),
        (None, None),
        ([], None),
    ],
)
def test_a_reply_names_what_it_answers(reply_to: Any, quoted: str | None) -> None:
    """As WAHA names it."""
    assert only_message(text("yes", replyTo=reply_to)).quoted == quoted


def test_an_unknown_message_is_kept_without_text() -> None:
    """Nothing tells what it is; the handler is told that it was."""
    found = only_message(text(None, _data=gows({"hologramMessage": {"depth": 3}})))
    assert (found.kind, found.text, found.media) == (Kind.UNKNOWN, "", None)
