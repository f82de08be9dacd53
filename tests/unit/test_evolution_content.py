"""What a WhatsApp message says is read from every type that Evolution passes on."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from shared.model import Kind
from shared.wire import decode_entry, encode_message
from tests.support.evolution_payloads import (
    APIKEY,
    INSTANCE,
    MESSAGE_ID,
    context_info,
    image_message,
    item,
    only_message,
    text_item,
)


@pytest.mark.parametrize(
    "message, kind, text",
    [
        (
            {"extendedTextMessage": {"text": "see https://a.example"}},
            Kind.TEXT,
            "see https://a.example",
        ),
        ({"conversation": 42}, Kind.TEXT, "42"),
        ({"imageMessage": {"caption": "the bill"}}, Kind.IMAGE, "the bill"),
        ({"videoMessage": {"caption": "look"}}, Kind.VIDEO, "look"),
        ({"ptvMessage": {"seconds": 4}}, Kind.VIDEO, ""),
        ({"audioMessage": {}, "speechToText": "call me"}, Kind.AUDIO, "call me"),
        ({"audioMessage": {"seconds": 3}}, Kind.AUDIO, ""),
        ({"documentMessage": {"fileName": "a.pdf", "caption": "signed"}}, Kind.DOCUMENT, "signed"),
        ({"stickerMessage": {"mimetype": "image/webp"}}, Kind.STICKER, ""),
        (
            {"locationMessage": {"degreesLatitude": -23.5, "degreesLongitude": 0, "name": "Park"}},
            Kind.LOCATION,
            "-23.5,0\nPark",
        ),
        ({"locationMessage": {"degreesLatitude": None}}, Kind.LOCATION, ""),
        (
            {"contactMessage": {"displayName": "Bia", "vcard": "BEGIN:VCARD"}},
            Kind.CONTACT,
            "Bia\nBEGIN:VCARD",
        ),
        (
            {
                "contactsArrayMessage": {
                    "contacts": [{"displayName": "Bia"}, {"displayName": "Leo"}]
                }
            },
            Kind.CONTACT,
            "Bia\nLeo",
        ),
        (
            {"buttonsResponseMessage": {"selectedDisplayText": "Yes", "selectedButtonId": "y"}},
            Kind.BUTTON,
            "Yes",
        ),
        ({"buttonsResponseMessage": {"selectedButtonId": "y"}}, Kind.BUTTON, "y"),
        (
            {"templateButtonReplyMessage": {"selectedDisplayText": "No", "selectedId": "n"}},
            Kind.BUTTON,
            "No",
        ),
        ({"interactiveResponseMessage": {"body": {"text": "Book"}}}, Kind.BUTTON, "Book"),
        (
            {
                "listResponseMessage": {
                    "title": "Friday",
                    "singleSelectReply": {"selectedRowId": "5"},
                }
            },
            Kind.LIST,
            "Friday",
        ),
        ({"listResponseMessage": {"singleSelectReply": {"selectedRowId": "5"}}}, Kind.LIST, "5"),
    ],
)
def test_each_type_gives_its_kind_and_text(message: dict[str, Any], kind: Kind, text: str) -> None:
    """What each of WhatsApp's types says is read from where that type keeps it."""
    read = only_message(item(message))
    assert (read.kind, read.text) == (kind, text)


@pytest.mark.parametrize("message_type", [None, "unknown", "somethingNewMessage"])
def test_the_type_is_found_without_a_usable_message_type(message_type: str | None) -> None:
    """The first telling key names the type, whatever stands before it or in ``messageType``."""
    message = {
        "messageContextInfo": context_info(),
        "senderKeyDistributionMessage": {"groupId": "1"},
        "base64": "AAAA",
        "imageMessage": {"caption": "here"},
        "audioMessage": None,
    }
    read = only_message(item(message, message_type))
    assert (read.kind, read.text) == (Kind.IMAGE, "here")


def test_a_flattened_text_keeps_its_name_of_before() -> None:
    """Evolution flattens an extended text to ``conversation`` and may leave ``messageType``."""
    read = only_message(item({"conversation": "hi"}, "extendedTextMessage"))
    assert (read.kind, read.text) == (Kind.TEXT, "hi")


@pytest.mark.parametrize(
    "message",
    [
        {"documentWithCaptionMessage": {"message": {"documentMessage": {"caption": "c"}}}},
        {"ephemeralMessage": {"message": {"documentMessage": {"caption": "c"}}}},
        {"viewOnceMessageV2": {"message": {"documentMessage": {"caption": "c"}}}},
        {"brandNewWrapper": {"message": {"documentMessage": {"caption": "c"}}}},
        {
            "brandNew": {
                "message": {"ephemeralMessage": {"message": {"documentMessage": {"caption": "c"}}}}
            }
        },
        {
            "messageContextInfo": {},
            "ephemeralMessage": {
                "message": {"viewOnceMessage": {"message": {"documentMessage": {"caption": "c"}}}}
            },
        },
    ],
)
def test_wrappers_are_taken_off(message: dict[str, Any]) -> None:
    """Disappearing, view-once and captioned messages are what is inside them."""
    read = only_message(item(message, next(iter(message))))
    assert (read.kind, read.text) == (Kind.DOCUMENT, "c")


def test_what_evolution_adds_is_found_outside_of_the_wrapper() -> None:
    """Evolution puts ``base64`` beside the wrapper, not inside it."""
    wrapped = {"viewOnceMessage": {"message": image_message()}, "base64": "QUJD"}
    read = only_message(item(wrapped, "viewOnceMessage"))
    assert read.media is not None
    assert read.media.data == "QUJD"


@pytest.mark.parametrize(
    "message, text",
    [
        ({"pollCreationMessageV3": {"name": "Which day?"}}, "Which day?"),
        ({"brandNewMessage": {"text": "hello"}}, "hello"),
        ({"brandNewMessage": "hello"}, "hello"),
        ({"brandNewMessage": ["?"]}, ""),
        ({"ephemeralMessage": {"message": "damaged"}}, "damaged"),
        ({"orderMessage": {"message": "two, please"}}, "two, please"),
        ({"messageContextInfo": {}}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_a_type_nobody_explains_is_kept(message: Any, text: str) -> None:
    """A new type of WhatsApp's is an unknown message with what text it has, and never lost."""
    read = only_message(item(message, "unknown"))
    assert (read.kind, read.text) == (Kind.UNKNOWN, text)


def test_the_quoted_message_is_named_by_its_id() -> None:
    """The answered message's id is read hoisted, and from inside where it was not hoisted."""
    context = {"stanzaId": "3EB0QUOTED", "quotedMessage": {"conversation": "friday?"}}
    inside = {"extendedTextMessage": {"text": "yes", "contextInfo": context}}
    assert only_message(text_item("yes", contextInfo=context)).quoted == "3EB0QUOTED"
    assert only_message(item(inside, contextInfo=None)).quoted == "3EB0QUOTED"
    assert only_message(text_item(contextInfo={"mentionedJid": []})).quoted is None


def test_a_small_file_comes_with_its_bytes() -> None:
    """Media up to the limit is kept inline, with all that describes it."""
    encoded = base64.b64encode(b"x" * 6000).decode()
    media = only_message(
        item(image_message(encoded, caption="bill")), media_inline_bytes=6000
    ).media
    assert media is not None
    assert (media.data, media.omitted, media.id) == (encoded, False, MESSAGE_ID)
    assert (media.mime, media.caption, media.size_bytes) == ("image/jpeg", "bill", 6000)
    assert media.url is None, "WhatsApp's own address serves ciphertext"


def test_a_photo_of_10_mb_is_a_message_without_its_bytes() -> None:
    """Media above the limit is cut out, marked, and fetchable by its id."""
    encoded = base64.b64encode(bytes(10_000_000)).decode()
    message = only_message(item(image_message(encoded, fileLength=None)), store_raw=True)
    assert message.media is not None
    assert (message.media.data, message.media.omitted) == (None, True)
    assert (message.media.id, message.media.size_bytes) == (MESSAGE_ID, 10_000_000)
    assert len(encode_message(message)) < 4096


def test_media_without_bytes_is_not_called_omitted() -> None:
    """Where Evolution was not asked for base64 there is nothing to cut, only an id to fetch by."""
    media = only_message(item(image_message())).media
    assert media is not None
    assert (media.data, media.omitted, media.id) == (None, False, MESSAGE_ID)


def test_a_voice_message_tells_its_length_and_where_it_is_kept() -> None:
    """Duration and the address in Evolution's own storage come with the media."""
    audio = {"mimetype": "audio/ogg; codecs=opus", "seconds": {"low": 7, "high": 0}}
    message = {"audioMessage": audio, "mediaUrl": "https://minio.example/a.ogg"}
    media = only_message(item(message)).media
    assert media is not None
    assert (media.duration_s, media.url) == (7, "https://minio.example/a.ogg")


@pytest.mark.parametrize(
    "encoded",
    [
        "QUJD",
        "data:image/jpeg;base64,QUJD",
        {"0": 65, "1": 66, "2": 67},
        {"type": "Buffer", "data": [65, 66, 67]},
        [65, 66, 67],
    ],
)
def test_bytes_are_read_in_every_spelling(encoded: Any) -> None:
    """Bytes come as base64, as a data URL, as an index map or as Node's buffer."""
    media = only_message(item(image_message(encoded))).media
    assert media is not None
    assert media.data == "QUJD"


@pytest.mark.parametrize(
    "encoded", ["", 5, True, {}, {"0": 300}, {"a": 1}, [None], {"type": "Buffer"}]
)
def test_bytes_that_make_no_sense_count_as_none(encoded: Any) -> None:
    """A photo with unreadable bytes is a photo without bytes."""
    media = only_message(item(image_message(encoded))).media
    assert media is not None
    assert (media.data, media.omitted) == (None, False)


def test_raw_is_the_item_without_secrets_and_large_bytes() -> None:
    """``raw`` keeps the item alone; the key of the envelope or inside it never gets in."""
    message = image_message("QUJD" * 100)
    data = item(message, apikey=APIKEY, nested=[{"ApiKey": APIKEY, "kept": 1}])
    read = only_message(data, store_raw=True, media_inline_bytes=100)
    assert read.raw["message"]["base64"] is None
    assert read.raw["message"]["imageMessage"]["jpegThumbnail"] == "dGh1bWI="
    assert read.raw["nested"] == [{"kept": 1}]
    assert read.raw["key"]["id"] == MESSAGE_ID
    assert APIKEY.encode() not in encode_message(read)


def test_raw_is_absent_unless_it_is_asked_for() -> None:
    """Without STORE_RAW nothing of the payload is kept but what a message has fields for."""
    assert only_message(text_item()).raw is None


def test_a_deeply_nested_item_can_still_be_stored() -> None:
    """``raw`` is cut at a depth that the wire format can write."""
    nested: Any = "bottom"
    for _ in range(500):
        nested = {"in": nested}
    message = only_message(text_item(deep=nested), store_raw=True)
    entry = decode_entry(INSTANCE, b"1-0", [b"m", encode_message(message)])
    assert entry.message == message


def test_a_message_survives_the_wire() -> None:
    """Everything that the parser makes can be stored and read back."""
    message = only_message(item(image_message("QUJD"), contextInfo=context_info()), store_raw=True)
    entry = decode_entry(INSTANCE, b"1-0", [b"m", encode_message(message)])
    assert entry.message == message
