"""
Real requests of Twilio, and what its rules say each of them holds.

The payloads are not part of the project: the tests read them beside it, and skip where they are
absent. The expectations were reasoned from the rules by hand, payload by payload.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.model import Kind, Media, Message
from shared.providers import Parsed, WebhookRequest
from shared.providers.twilio import Twilio
from shared.wire import decode_message, encode_message
from tests.support.parsing import account_itself, webhook_request
from tests.support.twilio_payloads import FORM, parse

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "fixtures" / "providers" / "twilio"
RECEIVED_AT = 1_790_000_000_000
ACCOUNT = "AC00000000000000000000000000000001"
MESSAGES = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the folder of real payloads is not beside the project"
)


def told(to: str, user: str, message_id: str, text: str, **fields: Any) -> Message:
    """A message; on WhatsApp ``user`` is the phone's digits, and the address has a channel."""
    reply_to = f"whatsapp:+{user}" if to.startswith("whatsapp:") else user
    return Message(
        instance=to,
        user=user,
        message_id=message_id,
        text=text,
        received_at=RECEIVED_AT,
        reply_to=reply_to,
        provider="twilio",
        **fields,
    )


def photo(message_id: str, media_id: str, caption: str | None = None) -> Media:
    """A JPEG at Twilio."""
    url = f"{MESSAGES}/{message_id}/Media/{media_id}"
    return Media(url=url, id=media_id, mime="image/jpeg", caption=caption)


_MESSAGES = {
    "01_whatsapp_text_accent.txt": told(
        "whatsapp:+14155238886",
        "558280002035",
        "SM01cd3925943ee3504f8a5c42d88efdf6",
        "Olá",
        name="Jhonata",
    ),
    "02_whatsapp_text_masked_ids.txt": told(
        "whatsapp:+14155238886",
        "919900000000",
        "SM45e9b726c0314a5524c3f3cb4ZZZZZ",
        "hey",
        name="Ranjit Sankar",
    ),
    "03_sms_text_us.txt": told(
        "+17320005541", "+17320005002", "SMedbc692d9f072246566a5b8c9f69c312", "Test"
    ),
    "04_sms_via_GET_querystring.txt": told(
        "+16130000383",
        "+16130009502",
        "SM60c8870b5bd81d43f33a107c832b931f",
        "Works still as good as a computer",
    ),
    "05_whatsapp_image_no_caption.txt": told(
        "whatsapp:+14123456789",
        "31612345678",
        "MM21151abfaadc1fb79b782f8460862a52",
        "",
        kind=Kind.IMAGE,
        media=photo("MM21151abfaadc1fb79b782f8460862a52", "ME5f0afa2336bd0f73ca553fb5a2e3150bc"),
    ),
    "06_mms_image_with_text.txt": told(
        "+18881112233",
        "+17208884444",
        "MM0ab821fa95eeecea1eadd2f9d2414997",
        "Test",
        kind=Kind.IMAGE,
        media=photo(
            "MM0ab821fa95eeecea1eadd2f9d2414997", "MEcf6f27737f63106f76c895195ade7a29", "Test"
        ),
    ),
    "07_whatsapp_voice.txt": told(
        "whatsapp:+15555550100",
        "15555550101",
        "SMvoice1",
        "",
        kind=Kind.AUDIO,
        media=Media(url="https://api.twilio.com/media/MEaud", id="MEaud", mime="audio/ogg"),
    ),
    "08_whatsapp_location.txt": told(
        "whatsapp:+15555550100",
        "15555550101",
        "SMloc1",
        "25.0187740,-77.3959579\nHome",
        kind=Kind.LOCATION,
    ),
    "09_whatsapp_button_reply_arabic_emoji_name.txt": told(
        "whatsapp:+201030008398",
        "201010006724",
        "SM637fb5f3b6eb903917943546a5d61aa6",
        "قبول الدعوة",
        kind=Kind.BUTTON,
        name="❤️",
        quoted="MM0deda00296b0e4abc18c2352f270817f",
    ),
    "11_mms_image_empty_body.txt": told(
        "+15860004133",
        "+19100006421",
        "MM0fe83458b74a1f626eb0da4685ab28b5",
        "",
        kind=Kind.IMAGE,
        media=photo("MM0fe83458b74a1f626eb0da4685ab28b5", "ME29644fd97901859108bc35e210b588f6"),
    ),
    "12_sms_percent_encoded_colon.txt": told(
        "+12010004135",
        "+12010001593",
        "SMe84269a8acfd0c6cf109307e2be57682",
        "Your Twilio verification code is: 5254",
    ),
    "13_whatsapp_reaction_like_reply.txt": told(
        "whatsapp:+5492615550202",
        "5492615550101",
        "SMinbound001",
        "❤️",
        quoted="SMoriginal001",
    ),
}

_IGNORED = {"10_status_sent_callback.txt": "receipt"}


def request_of(name: str) -> WebhookRequest:
    """The request as it came: the fourth was a GET."""
    body = (FOLDER / name).read_bytes().strip()
    if "GET" in name:
        return webhook_request(b"", query=body.decode(), method="GET")
    return webhook_request(body, FORM)


def parsed(name: str) -> Parsed:
    """What the provider makes of it; each number is an instance."""
    payload = Twilio().read(request_of(name))
    return parse(payload, recipient_of=account_itself, received_at=RECEIVED_AT)


@pytest.mark.parametrize("name", _MESSAGES)
def test_a_message_is_what_the_rules_say(name: str) -> None:
    """Every field, and what is written is read again."""
    expected = _MESSAGES[name]
    assert parsed(name) == Parsed(messages=(expected,))
    assert decode_message(expected.instance, encode_message(expected)) == expected


@pytest.mark.parametrize("name", _IGNORED)
def test_everything_else_is_counted(name: str) -> None:
    """By kind."""
    assert parsed(name) == Parsed(ignored={_IGNORED[name]: 1})


def test_every_payload_has_an_expectation() -> None:
    """A payload that is added to the folder fails here until somebody has reasoned about it."""
    assert {path.name for path in FOLDER.glob("*.txt")} == _MESSAGES.keys() | _IGNORED.keys()
