"""
Real payloads of the Cloud API, and what its rules say each of them holds.

The payloads are not part of the project: the tests read them beside it, and skip where they are
absent. The expectations were reasoned from the rules by hand, payload by payload.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.model import Kind, Media
from shared.providers import Echo, Parsed
from shared.providers.whatsapp import WhatsApp
from shared.wire import decode_message, encode_message
from tests.support.parsing import account_itself, parse_with

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "fixtures" / "providers" / "whatsapp"
RECEIVED_AT = 1_790_000_000_000

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the folder of real payloads is not beside the project"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The one message of a payload."""

    text: str
    kind: Kind = Kind.TEXT
    instance: str = "1122334455667"
    user: str = "972987654321"
    message_id: str = "wamid.xyzxyz"
    name: str = "Test Name"
    sent_s: int
    quoted: str | None = None
    media: Media | None = None


_SAMPLE = "wamid.HBgNMTU1NTEyMzQ1NjcVAgASGBQzQUYwMDAwMDAwMDAwMDAwMDA"
_ZERO = "000000000000000"

_MESSAGES = {
    "01_text.json": Expected(
        instance=_ZERO,
        user="15551234567",
        message_id=f"{_SAMPLE}A",
        name="Test User",
        text="Hello, bot!",
        sent_s=1700000000,
    ),
    "02_image_caption.json": Expected(
        instance=_ZERO,
        user="15551234567",
        message_id=f"{_SAMPLE}B",
        name="Test User",
        kind=Kind.IMAGE,
        text="Check this out",
        sent_s=1700000001,
        media=Media(id="000000000000001", mime="image/jpeg", caption="Check this out"),
    ),
    "03_voice_note.json": Expected(
        kind=Kind.AUDIO,
        text="",
        sent_s=1697043473,
        media=Media(id="1234567890987654321", mime="audio/ogg; codecs=opus"),
    ),
    "04_document_caption_forwarded.json": Expected(
        kind=Kind.DOCUMENT,
        text="caption",
        sent_s=1697043666,
        media=Media(
            id="1234567890987654321",
            mime="application/pdf",
            caption="caption",
            name="filename.pdf",
        ),
    ),
    "05_location_named.json": Expected(
        kind=Kind.LOCATION,
        text="37.4611978,-122.2164385\nFacebook HQ\n1 Hacker Way, Menlo Park, CA 94025",
        sent_s=1697044557,
    ),
    "06_contacts_three.json": Expected(
        kind=Kind.CONTACT,
        text=(
            "Chandler Bing\n+1 555-555-5555\nMonica\n+1 666-666-6666\nRachel Green\n+1 777-777-7777"
        ),
        sent_s=1697044621,
    ),
    "07_quoted_reply.json": Expected(
        text="replied text", sent_s=1697044746, quoted="wamid.xyzxyz=="
    ),
    "08_button_reply.json": Expected(
        instance=_ZERO,
        user="15551234567",
        message_id=f"{_SAMPLE}D",
        name="Test User",
        kind=Kind.BUTTON,
        text="Approve",
        sent_s=1700000003,
        quoted=f"{_SAMPLE}A",
    ),
    "09_list_reply.json": Expected(
        message_id="wamid.zyzxyz",
        kind=Kind.LIST,
        text="title",
        sent_s=1698266905,
        quoted="wamid.xyzxyz",
    ),
    "10_template_quick_reply_button.json": Expected(
        message_id="wamid.xsidjw",
        kind=Kind.BUTTON,
        text="title",
        sent_s=1698269027,
        quoted="wamid.xyzxyz==",
    ),
    "16_text_arabic.json": Expected(
        instance="PHONE_NUMBER_ID",
        user="966512345678",
        message_id="wamid.HBgLOTY2NTEyMzQ1Njc4FQIAEhgUM0VCMDdFOTJBRjUwOTMyQzY0RTUA",
        name="محمد أحمد",
        text="السلام عليكم، أبحث عن شقة في الرياض",
        sent_s=1705766400,
    ),
    "19_text_with_bsuid_and_phone.json": Expected(
        instance=_ZERO,
        user="15551234567",
        message_id=f"{_SAMPLE}B",
        name="Test User",
        text="Hello from a username user",
        sent_s=1700000000,
    ),
    "22_flow_completion_nfm_reply.json": Expected(
        message_id="wamid.wegrchytvwcggt==",
        kind=Kind.BUTTON,
        text=(
            '{"comment_text":"Comment Text","delivery_rating":"4",'
            '"flow_token":"AQAAAAACS5FpgQ_cAAAAAD0QI3s.","purchase_rating":"2",'
            '"recommend_radio":"0","cs_rating":"0"}'
        ),
        sent_s=1702502473,
        quoted="wamid.gvwegfretge==",
    ),
    "23_order.json": Expected(
        kind=Kind.UNKNOWN,
        text="3 x HAMBURGER, 30 ILS\n2 x FRENCH_FRIES, 35 ILS\n2 x SODA, 10 ILS",
        sent_s=1697044668,
    ),
    "25_media_with_url.json": Expected(
        kind=Kind.IMAGE,
        text="",
        sent_s=1697043379,
        media=Media(
            id="65463453",
            mime="image/jpeg",
            url=(
                "https://lookaside.fbsbx.com/whatsapp_business/attachments/"
                "?mid=65463453&source=webhook&ext=487r9re&hash=heiwchueowbcew-dnedcw"
            ),
        ),
    ),
}

_IGNORED = {
    "11_reaction.json": "reaction",
    "12_unsupported.json": "unsupported",
    "13_status_failed.json": "undelivered",
    "14_status_delivered.json": "receipt",
    "15_status_read_capture.json": "receipt",
    "20_edit_image_caption.json": "edit",
    "21_unreaction_empty_emoji.json": "reaction",
    "24_system_number_change.json": "contact_update",
}

_BATCH = "17_batch_two_users_one_payload.json"
_ECHO = "18_smb_echo_text.json"


def parse(name: str) -> Parsed:
    """What the provider makes of a payload; each account is an instance of its own."""
    payload: Any = orjson.loads((FOLDER / name).read_bytes())
    return parse_with(WhatsApp(), payload, received_at=RECEIVED_AT, recipient_of=account_itself)


@pytest.mark.parametrize("name", _MESSAGES)
def test_a_real_message_is_read(name: str) -> None:
    """Each payload gives the account, user, text, kind, time and media that the rules say."""
    parsed, expected = parse(name), _MESSAGES[name]
    assert (parsed.echoes, parsed.ignored) == ((), {})
    (message,) = parsed.messages
    assert decode_message(message.instance, encode_message(message)) == message
    assert (message.instance, message.user, message.reply_to) == (
        expected.instance,
        expected.user,
        expected.user,
    )
    assert (message.message_id, message.name) == (expected.message_id, expected.name)
    assert (message.kind, message.text) == (expected.kind, expected.text)
    assert (message.sent_at, message.quoted) == (expected.sent_s * 1000, expected.quoted)
    assert message.media == expected.media


@pytest.mark.parametrize("name", _IGNORED)
def test_a_real_event_without_a_message_is_counted(name: str) -> None:
    """Receipts, reactions, edits and the like are ignored under their kind."""
    assert parse(name) == Parsed(ignored={_IGNORED[name]: 1})


def test_two_users_of_one_payload_are_two() -> None:
    """Without ``contacts``, in their order."""
    parsed = parse(_BATCH)
    assert (parsed.echoes, parsed.ignored) == ((), {})
    found = [(one.instance, one.user, one.message_id, one.text) for one in parsed.messages]
    assert found == [
        ("PHONE_NUMBER_ID_12345", "5216141110001", "wamid.multi.001", "cita"),
        ("PHONE_NUMBER_ID_12345", "5216141110002", "wamid.multi.002", "cita"),
    ]
    assert [one.sent_at for one in parsed.messages] == [1780000000000, 1780000001000]
    assert {one.name for one in parsed.messages} == {None}


def test_a_real_echo_is_one() -> None:
    """Its ``to`` is a placeholder and no number, so the user is who ``to_user_id`` says."""
    echo = Echo(instance="1122334455667", user="<BSUID>", message_id="<WHATSAPP_MESSAGE_ID>")
    assert parse(_ECHO) == Parsed(echoes=(echo,))


def test_every_payload_has_an_expectation() -> None:
    """A payload that is added to the folder fails here until somebody has reasoned about it."""
    reasoned = _MESSAGES.keys() | _IGNORED.keys() | {_BATCH, _ECHO}
    assert {path.name for path in FOLDER.glob("*.json")} == reasoned
