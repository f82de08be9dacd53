"""What a Telegram message says: kind, text, file."""

from __future__ import annotations

from typing import Any

import pytest

from shared.model import Kind, Media
from tests.support.telegram_payloads import message, only_message, photo_sizes, update

FILE = {"file_id": "BQAC-1", "file_unique_id": "q", "file_size": 3000}
MEDIA = Media(id="BQAC-1", size_bytes=3000)


@pytest.mark.parametrize(
    "content, kind, said, media",
    [
        ({"photo": photo_sizes()}, Kind.IMAGE, "", Media(id="AgAC-desk-x", size_bytes=45000)),
        (
            {"voice": FILE | {"duration": 3}},
            Kind.AUDIO,
            "",
            Media(id="BQAC-1", size_bytes=3000, duration_s=3),
        ),
        (
            {"audio": FILE | {"file_name": "a.mp3"}},
            Kind.AUDIO,
            "",
            Media(id="BQAC-1", size_bytes=3000, name="a.mp3"),
        ),
        (
            {"video": FILE | {"mime_type": "video/mp4"}},
            Kind.VIDEO,
            "",
            Media(id="BQAC-1", size_bytes=3000, mime="video/mp4"),
        ),
        ({"video_note": FILE}, Kind.VIDEO, "", MEDIA),
        ({"animation": FILE, "document": FILE | {"file_id": "other"}}, Kind.VIDEO, "", MEDIA),
        (
            {"document": FILE, "caption": "the form"},
            Kind.DOCUMENT,
            "the form",
            Media(id="BQAC-1", size_bytes=3000, caption="the form"),
        ),
        ({"sticker": FILE | {"emoji": "🦊"}}, Kind.STICKER, "🦊", MEDIA),
        ({"location": {"latitude": 1.5, "longitude": -2}}, Kind.LOCATION, "1.5,-2", None),
        (
            {"contact": {"first_name": "Rui", "phone_number": "+351000", "vcard": "BEGIN:VCARD"}},
            Kind.CONTACT,
            "Rui\n+351000\nBEGIN:VCARD",
            None,
        ),
        (
            {"web_app_data": {"data": '{"seat":4}', "button_text": "Seat"}},
            Kind.BUTTON,
            '{"seat":4}',
            None,
        ),
        (
            {"poll": {"question": "When?", "options": [{"text": "now"}, {"text": "later"}]}},
            Kind.UNKNOWN,
            "When?\nnow\nlater",
            None,
        ),
        (
            {"checklist": {"title": "Bring", "tasks": [{"text": "a pen"}]}},
            Kind.UNKNOWN,
            "Bring\na pen",
            None,
        ),
        ({"dice": {"emoji": "🎯", "value": 5}}, Kind.UNKNOWN, "🎯 5", None),
        ({"story": {"id": 4}}, Kind.UNKNOWN, "", None),
        (
            {"users_shared": {"users": [{"first_name": "Rui"}, {"username": "lia"}]}},
            Kind.UNKNOWN,
            "Rui\nlia",
            None,
        ),
        ({"successful_payment": {"invoice_payload": "order-9"}}, Kind.UNKNOWN, "order-9", None),
        ({"hologram": {"depth": 3}, "caption": "look"}, Kind.UNKNOWN, "look", None),
        ({}, Kind.UNKNOWN, "", None),
    ],
)
def test_every_kind_of_message_is_kept(
    content: dict[str, Any], kind: Kind, said: str, media: Media | None
) -> None:
    """Each kind has its text and its file; one that nobody has heard of is kept as unknown."""
    found = only_message(update(of=message(**content)))
    assert (found.kind, found.text, found.media) == (kind, said, media)


def test_a_venue_is_a_location_with_its_name() -> None:
    """A venue comes together with its location, which is not told twice."""
    place = {"latitude": 1.25, "longitude": 2.5}
    venue = {"location": place, "title": "Harbour", "address": "Quay 3"}
    found = only_message(update(of=message(venue=venue, location=place)))
    assert (found.kind, found.text) == (Kind.LOCATION, "1.25,2.5\nHarbour\nQuay 3")
