"""What a message of the Cloud API is read as: payloads of our own, written from its rules."""

from __future__ import annotations

from typing import Any

import pytest

from shared.model import Kind, Media, Message
from tests.support.meta_payloads import PHONE, SENT_S, whatsapp, whatsapp_item, whatsapp_text
from tests.support.parsing import INSTANCE, recipient
from tests.support.whatsapp_parsing import RECEIVED_AT, only


def test_a_text_is_read_whole() -> None:
    """Each field from where the rules say."""
    assert only(whatsapp(whatsapp_text("guten Tag 🙂", context={"id": "wamid.BEFORE"}))) == Message(
        instance=INSTANCE,
        user=PHONE,
        message_id="wamid.INVENTED000001==",
        text="guten Tag 🙂",
        kind=Kind.TEXT,
        sent_at=(SENT_S + 1) * 1000,
        received_at=RECEIVED_AT,
        quoted="wamid.BEFORE",
        name="Ida Beispiel",
        reply_to=PHONE,
        provider="whatsapp",
    )


FILE = {"id": "77001", "mime_type": "x/y", "sha256": "aGFzaA=="}


@pytest.mark.parametrize(
    "kind_name, content, kind, text, media",
    [
        ("image", FILE | {"caption": "the roof"}, Kind.IMAGE, "the roof", {"caption": "the roof"}),
        ("video", FILE, Kind.VIDEO, "", {}),
        ("audio", FILE | {"voice": True}, Kind.AUDIO, "", {}),
        ("voice", FILE, Kind.AUDIO, "", {}),
        ("sticker", FILE | {"animated": False}, Kind.STICKER, "", {}),
        ("document", FILE | {"filename": "plan.pdf"}, Kind.DOCUMENT, "", {"name": "plan.pdf"}),
        (
            "image",
            FILE | {"url": "https://media.example.net/?mid=77001"},
            Kind.IMAGE,
            "",
            {"url": "https://media.example.net/?mid=77001"},
        ),
    ],
)
def test_media_are_read(
    kind_name: str, content: Any, kind: Kind, text: str, media: dict[str, Any]
) -> None:
    """With the id that fetches them, and the address where newer payloads have it."""
    message = only(whatsapp(whatsapp_item(kind_name, content)))
    assert (message.kind, message.text) == (kind, text)
    assert message.media == Media(**({"id": "77001", "mime": "x/y"} | media))


def test_a_voice_note_of_the_older_type_may_stand_under_audio() -> None:
    """The type was ``voice``; its file must not be lost for it."""
    message = only(whatsapp(whatsapp_item("audio", FILE) | {"type": "voice"}))
    assert message.kind is Kind.AUDIO
    assert message.media == Media(id="77001", mime="x/y")


@pytest.mark.parametrize(
    "kind_name, content, kind, text",
    [
        (
            "location",
            {"latitude": 48.25, "longitude": -11.5, "name": "Mill", "address": "Bach 3"},
            Kind.LOCATION,
            "48.25,-11.5\nMill\nBach 3",
        ),
        ("location", {"latitude": 0, "longitude": 0}, Kind.LOCATION, "0,0"),
        (
            "contacts",
            [
                {"name": {"formatted_name": "Bo Muster"}, "phones": [{"phone": "+49 30 5"}]},
                {"name": {"first_name": "Al", "last_name": "Eg"}, "phones": [{"wa_id": "495"}]},
                {"name": {}, "phones": None},
            ],
            Kind.CONTACT,
            "Bo Muster\n+49 30 5\nAl Eg\n495",
        ),
        ("button", {"text": "Confirm", "payload": "ok-1"}, Kind.BUTTON, "Confirm"),
        ("button", {"payload": "ok-1"}, Kind.BUTTON, "ok-1"),
        (
            "interactive",
            {"type": "button_reply", "button_reply": {"id": "b1", "title": "Yes"}},
            Kind.BUTTON,
            "Yes",
        ),
        ("interactive", {"button_reply": {"id": "b1"}}, Kind.BUTTON, "b1"),
        (
            "interactive",
            {"type": "list_reply", "list_reply": {"id": "r7", "title": "Noon", "description": "x"}},
            Kind.LIST,
            "Noon",
        ),
        (
            "interactive",
            {"type": "nfm_reply", "nfm_reply": {"name": "flow", "response_json": '{"seats":"2"}'}},
            Kind.BUTTON,
            '{"seats":"2"}',
        ),
        (
            "interactive",
            {"type": "rating_reply", "rating_reply": {"title": "five stars"}},
            Kind.UNKNOWN,
            "five stars",
        ),
        (
            "order",
            {
                "catalog_id": "9",
                "text": "as soon as you can",
                "product_items": [
                    {
                        "product_retailer_id": "TEA-250",
                        "quantity": 3,
                        "item_price": 4.5,
                        "currency": "EUR",
                    },
                    {"product_retailer_id": "CUP"},
                    "damaged",
                ],
            },
            Kind.UNKNOWN,
            "as soon as you can\n3 x TEA-250, 4.5 EUR\nCUP",
        ),
        ("poll_of_tomorrow", {"title": "when?"}, Kind.UNKNOWN, "when?"),
        ("poll_of_tomorrow", "when?", Kind.UNKNOWN, "when?"),
        ("unknown", None, Kind.UNKNOWN, ""),
    ],
)
def test_what_was_said_is_the_text(kind_name: str, content: Any, kind: Kind, text: str) -> None:
    """Per type as the rules say; a type that no rule explains keeps what text it has."""
    message = only(whatsapp(whatsapp_item(kind_name, content)))
    assert (message.kind, message.text, message.media) == (kind, text, None)


def test_a_message_from_an_advertisement_is_a_message() -> None:
    """What it refers to is an extra member."""
    referral = {"source_url": "https://ad.example.net", "source_type": "ad", "headline": "Tea"}
    assert only(whatsapp(whatsapp_text("how much?", referral=referral))).text == "how much?"


def test_a_forwarded_message_quotes_nothing() -> None:
    """Its context has no id."""
    assert only(whatsapp(whatsapp_text("x", context={"forwarded": True}))).quoted is None


def test_raw_is_the_message_without_secrets() -> None:
    """Only where the instance stores it."""
    item = whatsapp_text("x", access_token="planted")
    assert only(whatsapp(item)).raw is None
    raw = only(whatsapp(item), recipient_of=recipient(store_raw=True)).raw
    assert raw == whatsapp_text("x")
