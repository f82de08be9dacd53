"""Twilio's requests become messages, and what is none is counted by kind."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import RequestRefused
from shared.model import Kind, Media, Message
from shared.providers import Parsed
from shared.providers.twilio import Twilio
from tests.support.parsing import INSTANCE, account_itself, recipient
from tests.support.twilio_payloads import (
    OWN_NUMBER,
    PHONE,
    RECEIVED_AT,
    SERVICE_SID,
    file_url,
    files,
    only_message,
    parse,
    sid,
    sms,
    whatsapp,
)

BSUID = "US.INVENTED0001"


def test_a_whatsapp_text_becomes_a_message_with_every_field() -> None:
    """Who, what, under which id, and where an answer goes; Twilio tells no time."""
    fields = whatsapp("are you open?", OriginalRepliedMessageSid=sid(77))
    assert only_message(fields) == Message(
        instance=INSTANCE,
        user=PHONE,
        message_id=sid(),
        text="are you open?",
        kind=Kind.TEXT,
        received_at=RECEIVED_AT,
        quoted=sid(77),
        name="Ana",
        reply_to=f"whatsapp:+{PHONE}",
        provider="twilio",
    )


def test_a_text_message_becomes_one_too() -> None:
    """By SMS the user is the number as it is, and has no name."""
    message = only_message(sms("menu?"))
    assert (message.user, message.reply_to, message.name) == (f"+{PHONE}", f"+{PHONE}", None)
    assert (message.kind, message.text) == (Kind.TEXT, "menu?")


@pytest.mark.parametrize(
    "changes, user, reply_to",
    [
        ({"From": "12345"}, "12345", "12345"),
        ({"From": "ACME"}, "ACME", "ACME"),
        ({"From": "messenger:1050"}, "messenger:1050", "messenger:1050"),
        ({"From": f"WhatsApp:+{PHONE}"}, PHONE, f"WhatsApp:+{PHONE}"),
        ({"From": f"whatsapp:+{PHONE}", "WaId": "4900"}, PHONE, f"whatsapp:+{PHONE}"),
        ({"From": f"whatsapp:{BSUID}", "WaId": PHONE}, PHONE, f"whatsapp:{BSUID}"),
        ({"From": f"whatsapp:{BSUID}", "WaId": None}, BSUID, f"whatsapp:{BSUID}"),
        (
            {"From": "whatsapp:US.NEW", "WaId": None, "ExternalUserId": BSUID},
            BSUID,
            "whatsapp:US.NEW",
        ),
        ({"From": None}, PHONE, f"whatsapp:+{PHONE}"),
        ({"From": "  "}, PHONE, f"whatsapp:+{PHONE}"),
    ],
)
def test_one_person_has_one_user_key(changes: dict[str, Any], user: str, reply_to: str) -> None:
    """On WhatsApp the phone where it is known; the answer goes to the address as it came."""
    message = only_message(whatsapp(**changes))
    assert (message.user, message.reply_to) == (user, reply_to)


@pytest.mark.parametrize(
    "changes, message_id",
    [
        ({}, sid()),
        ({"MessageSid": None}, "SMold"),
        ({"MessageSid": None, "SmsMessageSid": None}, "SMolder"),
        ({"MessageSid": "MM01"}, "MM01"),
    ],
)
def test_the_sid_is_the_id(changes: dict[str, Any], message_id: str) -> None:
    """The deprecated copies stand in for it."""
    fields = whatsapp(**({"SmsMessageSid": "SMold", "SmsSid": "SMolder"} | changes))
    assert only_message(fields).message_id == message_id


def test_without_a_sid_the_fields_are_the_id() -> None:
    """The same fields sent again are the same message."""
    none: dict[str, Any] = dict.fromkeys(("MessageSid", "SmsMessageSid", "SmsSid"))
    first, again, other = (only_message(whatsapp(text, 1, **none)) for text in ("a", "a", "b"))
    assert first.message_id == again.message_id != other.message_id
    assert first.message_id.startswith("hash:")


@pytest.mark.parametrize(
    "mime, kind",
    [
        ("image/jpeg", Kind.IMAGE),
        ("image/webp", Kind.IMAGE),
        ("audio/ogg", Kind.AUDIO),
        ("AUDIO/AMR; codecs=x", Kind.AUDIO),
        ("application/ogg", Kind.AUDIO),
        ("video/mp4", Kind.VIDEO),
        ("application/pdf", Kind.DOCUMENT),
        ("text/plain", Kind.DOCUMENT),
        ("text/vcard", Kind.CONTACT),
        ("text/x-vcard", Kind.CONTACT),
        ("", Kind.UNKNOWN),
    ],
)
@pytest.mark.parametrize("body", ["this one", "", None])
def test_a_file_is_kept_with_its_address(mime: str, kind: Kind, body: str | None) -> None:
    """With or without text, on WhatsApp and by MMS."""
    for fields in (whatsapp(body, **files(mime), MessageType=None), sms(body, **files(mime))):
        message = only_message(fields)
        assert (message.kind, message.text) == (kind, body or "")
        assert message.media == Media(
            url=file_url(), id=f"ME{0:032x}", mime=mime or None, caption=body or None
        )


def test_a_sticker_is_told_by_its_message_type() -> None:
    """Its file is an image like any other."""
    message = only_message(whatsapp("", 1, **files("image/webp"), MessageType="sticker"))
    assert message.kind is Kind.STICKER


def test_every_file_of_several_is_kept() -> None:
    """The first carries the sid, the text and the raw form; the others follow in order."""
    fields = sms("these", **files("image/png", "audio/amr", "application/pdf"))
    messages = parse(fields, store_raw=True).messages
    assert [message.message_id for message in messages] == [sid(), f"{sid()}:1", f"{sid()}:2"]
    assert [message.kind for message in messages] == [Kind.IMAGE, Kind.AUDIO, Kind.DOCUMENT]
    assert [message.text for message in messages] == ["these", "", ""]
    found = [message.media for message in messages]
    assert [media.url if media else "" for media in found] == [file_url(n) for n in range(3)]
    assert [media.caption if media else "" for media in found] == ["these", None, None]
    assert [message.raw is None for message in messages] == [False, True, True]


def test_files_are_in_order_of_their_numbers_whatever_the_count_says() -> None:
    """Ten come behind two, and a wrong ``NumMedia`` costs none."""
    fields = sms("", **files(*["image/png"] * 12)) | {"NumMedia": "1"}
    messages = parse(dict(reversed(fields.items()))).messages
    urls = [message.media.url if message.media else "" for message in messages]
    assert urls == [file_url(number) for number in range(12)]


@pytest.mark.parametrize("url", ["", "data:image/png;base64,AA", "ftp://x/y", "https://[x"])
def test_a_file_without_an_address_leaves_a_message_of_unknown_kind(url: str) -> None:
    """Something was sent, so it is kept with its text."""
    message = only_message(sms("look", **files("image/png")) | {"MediaUrl0": url})
    assert (message.kind, message.text, message.media) == (Kind.UNKNOWN, "look", None)


@pytest.mark.parametrize(
    "changes, text",
    [
        ({}, "-23.5,-46.625"),
        ({"Label": "Corner café"}, "-23.5,-46.625\nCorner café"),
        (
            {"Label": "Café", "Address": "Main St 1", "Body": "here"},
            "-23.5,-46.625\nCafé\nMain St 1\nhere",
        ),
        ({"Label": "Café", "Body": "Café"}, "-23.5,-46.625\nCafé"),
    ],
)
def test_a_place_is_told_in_lines(changes: dict[str, str], text: str) -> None:
    """Where it is, then what it is called."""
    fields: dict[str, Any] = {"Latitude": "-23.5", "Longitude": "-46.625", "MessageType": None}
    message = only_message(whatsapp(None, 1, **(fields | changes)))
    assert (message.kind, message.text) == (Kind.LOCATION, text)


@pytest.mark.parametrize(
    "fields, kind, text",
    [
        (whatsapp("Book", ButtonText="Book", ButtonPayload="b1"), Kind.BUTTON, "Book"),
        (whatsapp(None, ButtonText="Book", ButtonPayload="b1"), Kind.BUTTON, "Book"),
        (whatsapp("", ButtonPayload="b1"), Kind.BUTTON, "b1"),
        (whatsapp("Friday", ListId="r5", ListTitle="Friday"), Kind.LIST, "Friday"),
        (whatsapp("", ListId="r5", ListTitle="Friday"), Kind.LIST, "Friday"),
        (whatsapp(None, ListId="r5"), Kind.LIST, "r5"),
        (whatsapp("❤️", OriginalRepliedMessageSid=sid(7)), Kind.TEXT, "❤️"),
        (whatsapp("ok", MessageType="contacts"), Kind.CONTACT, "ok"),
        (whatsapp("ok", MessageType="Text"), Kind.TEXT, "ok"),
        (whatsapp("ok", MessageType="hologram"), Kind.UNKNOWN, "ok"),
        (whatsapp(None, MessageType="unsupported"), Kind.UNKNOWN, ""),
        (sms(""), Kind.TEXT, ""),
        (sms(None), Kind.UNKNOWN, ""),
        (sms("  two\nlines "), Kind.TEXT, "  two\nlines "),
        (sms("lost", NumMedia="2"), Kind.UNKNOWN, "lost"),
        (sms("hi", NumMedia="many"), Kind.TEXT, "hi"),
    ],
)
def test_a_kind_is_told_by_the_fields_that_are_there(
    fields: dict[str, str], kind: Kind, text: str
) -> None:
    """``MessageType`` comes on newer WhatsApp only; what nobody knows is kept as unknown."""
    message = only_message(fields)
    assert (message.kind, message.text) == (kind, text)


@pytest.mark.parametrize(
    "changes, kind",
    [
        ({"MessageStatus": "sent", "SmsStatus": "sent"}, "receipt"),
        ({"MessageStatus": "read", "SmsStatus": None, "EventType": "READ"}, "receipt"),
        ({"SmsStatus": "delivered"}, "receipt"),
        ({"MessageStatus": "failed"}, "undelivered"),
        ({"MessageStatus": "Undelivered", "ErrorCode": "30003"}, "undelivered"),
        ({"MessageStatus": "failed", "ErrorCode": "63016"}, "outside_window"),
        ({"MessageStatus": "undelivered", "ErrorCode": ""}, "undelivered"),
    ],
)
def test_what_becomes_of_our_messages_is_counted(changes: dict[str, Any], kind: str) -> None:
    """There the sender is the instance: that number is the account."""
    fields = whatsapp(**({"From": OWN_NUMBER, "To": f"whatsapp:+{PHONE}"} | changes))
    assert Twilio().account_of(fields) == OWN_NUMBER
    assert parse(fields) == Parsed(ignored={kind: 1})
    assert kind in Twilio.ignored_kinds


def test_a_reaction_is_counted() -> None:
    """No answer is due to it; one that comes as a text is a text."""
    fields = whatsapp("❤️", MessageType="reaction", OriginalRepliedMessageSid=sid(7))
    assert parse(fields) == Parsed(ignored={"reaction": 1})


@pytest.mark.parametrize("status", [None, "", "received", "Received"])
def test_what_is_received_is_a_message(status: str | None) -> None:
    """Some products leave the status out."""
    assert only_message(sms(SmsStatus=status)).text == "hi"


def test_a_message_of_nobody_is_counted() -> None:
    """Nobody could be answered."""
    assert parse(sms(From=None)) == Parsed(ignored={"malformed": 1})
    assert parse(sms(From="a\0b")) == Parsed(ignored={"malformed": 1})


@pytest.mark.parametrize("payload", [{}, {"CallStatus": "ringing"}, {"a": "b"}, [], None, "From"])
def test_what_is_no_form_of_twilios_is_refused(payload: Any) -> None:
    """400: not one field of a message is in it."""
    with pytest.raises(RequestRefused, match="form of Twilio") as caught:
        parse(payload)
    assert caught.value.status == 400


def test_the_account_is_asked_for_by_all_that_names_it() -> None:
    """The number as it came, with and without its channel, and the service."""
    asked: list[Any] = []

    def recipient_of(*named: Any) -> Any:
        asked.extend(named)
        return recipient()(None)

    parse(whatsapp(MessagingServiceSid=SERVICE_SID), recipient_of=recipient_of)
    assert asked == [
        "whatsapp:+4930555000001",
        "from_",
        ("+4930555000001", "from_"),
        ("whatsapp:+4930555000001", "from_"),
        (SERVICE_SID, "messaging_service_sid"),
    ]
    assert parse(sms(), recipient_of=account_itself).messages[0].instance == "+4930555000001"


def test_what_is_for_another_number_is_counted() -> None:
    """It is none of ours."""
    parsed = parse(sms(), recipient_of=lambda *_named: None)
    assert parsed == Parsed(ignored={"other_account": 1})


@pytest.mark.parametrize("payload", [[], None, "x", {}, {"To": None}, {"To": "a\nb"}])
def test_a_payload_without_a_number_names_no_account(payload: Any) -> None:
    """Never an error."""
    assert Twilio().account_of(payload) is None


def test_raw_is_kept_where_it_is_asked_for() -> None:
    """Every field of the form."""
    assert only_message(sms()).raw is None
    assert only_message(sms(), store_raw=True).raw == sms()
