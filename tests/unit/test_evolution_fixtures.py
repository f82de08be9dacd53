"""
Real payloads of Evolution, and what its rules say each of them holds.

The payloads are not part of the project: the tests read them beside it, and skip where they are
absent. The expectations were reasoned from the rules by hand, payload by payload.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.model import EntryId, Kind, Message
from shared.providers import Echo, Parsed
from shared.providers.evolution import Evolution
from shared.wire import decode_entry, encode_message
from tests.support.parsing import account_itself, parse_with, recipient

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "fixtures" / "providers" / "evolution"
RECEIVED_AT = 1_790_000_000_000
TEN_YEARS_MS = 10 * 366 * 86_400_000

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the folder of real payloads is not beside the project"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The one message of a payload."""

    user: str
    text: str
    kind: Kind = Kind.TEXT
    sent_s: int
    name: str
    quoted: str | None = None
    media: dict[str, Any] | None = None


_MESSAGES = {
    "01_text.json": Expected(
        user="5519900006234",
        text="gastei 25,78 com Uber",
        sent_s=1749766101,
        name="Mariana M. Exêmplo",
    ),
    "02_image_no_caption_base64.json": Expected(
        user="558590008016",
        text="",
        kind=Kind.IMAGE,
        sent_s=1732041577,
        name="Ivo",
        media={"mime": "image/jpeg", "size_bytes": 226688, "data": "base64img"},
    ),
    "03_image_caption_base64_v1style.json": Expected(
        user="59170001094",
        text="hola - text con multimedia (imagen)",
        kind=Kind.IMAGE,
        sent_s=1746132796,
        name="percy ejemplo E1",
        media={"caption": "hola - text con multimedia (imagen)", "size_bytes": 52046},
    ),
    "04_audio_ptt_base64.json": Expected(
        user="558590008016",
        text="",
        kind=Kind.AUDIO,
        sent_s=1732042073,
        name="Ivo",
        media={"mime": "audio/ogg; codecs=opus", "size_bytes": 2881, "duration_s": 2},
    ),
    "05_list_reply.json": Expected(
        user="558590008016",
        text="Sim",
        kind=Kind.LIST,
        sent_s=1747254526,
        name="Ivo",
        quoted="3EB085785EB2D70C4C75A57EF7F06CEC5BE30251",
    ),
    "06_sticker_v1style.json": Expected(
        user="553190001344",
        text="",
        kind=Kind.STICKER,
        sent_s=1705684409,
        name="Leila Exemplo",
        media={"mime": "image/webp", "size_bytes": 35216, "data": None},
    ),
    "10_text_lid_with_remoteJidAlt.json": Expected(
        user="558890000321",
        text="Teste envio de mensagem",
        sent_s=1763326182,
        name="Gleidiane Exemplo",
    ),
    "11_text_lid_senderPn.json": Expected(
        user="558390004722", text="oi", sent_s=1782401400, name="Deus, meu refugio"
    ),
    "13_text_arabic.json": Expected(
        user="201090001045", text="السلام عليكم", sent_s=1741984444, name="WABotMaster"
    ),
    "19_text_v1_8_masked.json": Expected(
        user="55119********",
        text="Olá! Vim do Instagram da **** e gostaria de agendar uma Consulta Online.",
        sent_s=1717607420,
        name="Giovanna Exemplo",
    ),
    "20_audio_contextInfo_null.json": Expected(
        user="5519900006234",
        text="",
        kind=Kind.AUDIO,
        sent_s=1749766134,
        name="Mariana M. Exêmplo",
        media={"size_bytes": 7397, "duration_s": 3},
    ),
    "21_video_caption_base64.json": Expected(
        user="59170001094",
        text="hola - text con multimea (video)",
        kind=Kind.VIDEO,
        sent_s=1746133036,
        name="percy ejemplo E1",
        media={"mime": "video/mp4", "size_bytes": 2797968, "duration_s": 16},
    ),
}

_IGNORED = {
    "07_connection_update_close_401.json": "connection",
    "08_connection_update_connecting_no_sender.json": "connection",
    "14_messages_update_delivery_ack.json": "receipt",
    "15_messages_update_deleted.json": "deletion",
    "16_qrcode_updated.json": "connection",
    "17_contacts_upsert_array.json": "contact_update",
    "18_group_reaction.json": "group",
    "22_contacts_update_array.json": "contact_update",
}

_ECHOES = {
    "09_fromme_text_echo.json": ("558590001539", "3EB0742228A7FA7CB97E44"),
    "12_fromme_lid_echo.json": ("162042123419454@lid", "3EB0374EA39183B55FAA7F"),
}
"""To whom, and which: of a ``lid`` alone nobody can tell the phone."""

_PARTS = {
    "30_baileys_location.json": (Kind.LOCATION, "0,0"),
    "31_baileys_contact_vcard.json": (
        Kind.CONTACT,
        (
            "Alice Test\nBEGIN:VCARD\nVERSION:3.0\nN:Test;User;;;\nFN:Test User\n"
            "TEL:+5511999990001\nEND:VCARD"
        ),
    ),
    "32_baileys_quoted_reply_extendedText.json": (Kind.TEXT, "Quoting a message here"),
    "34_baileys_poll_creation.json": (Kind.UNKNOWN, "Quero saber"),
    "35_baileys_forwarded_text.json": (Kind.TEXT, "Essa mensagem será encaminhada"),
}
_IGNORED_PARTS = {"33_baileys_revoke_protocolMessage.json": "deletion"}


def load(name: str) -> Any:
    """A payload by its file name."""
    return orjson.loads((FOLDER / name).read_bytes())


def parse(payload: Any, *, max_age_ms: int = TEN_YEARS_MS, groups: bool = False) -> Parsed:
    """What the provider makes of ``payload``, however old it is."""
    named = account_itself(Evolution().account_of(payload)).instance
    return parse_with(
        Evolution(),
        payload,
        received_at=RECEIVED_AT,
        max_age_ms=max_age_ms,
        recipient_of=recipient(named, store_raw=True, groups=groups),
    )


def message_of(payload: Any) -> Message:
    """The one message of ``payload``, which ignores nothing; it survives the wire."""
    parsed = parse(payload)
    assert parsed.ignored == Counter()
    (message,) = parsed.messages
    entry = decode_entry(
        message.instance, str(EntryId(1, 0)).encode(), [b"m", encode_message(message)]
    )
    assert entry.message == message
    return message


@pytest.mark.parametrize("name", _MESSAGES)
def test_a_real_message_is_read(name: str) -> None:
    """Each captured message gives the user, text, kind, time and media that the rules say."""
    payload, expected = load(name), _MESSAGES[name]
    message = message_of(payload)
    assert message.instance == payload["instance"]
    assert message.message_id == payload["data"]["key"]["id"]
    assert (message.user, message.reply_to) == (expected.user, f"{expected.user}@s.whatsapp.net")
    assert (message.kind, message.text, message.name) == (
        expected.kind,
        expected.text,
        expected.name,
    )
    assert (message.sent_at, message.quoted) == (expected.sent_s * 1000, expected.quoted)
    assert (message.media is None) == (expected.media is None)
    for field, value in (expected.media or {}).items():
        assert getattr(message.media, field) == value
    if message.media is not None:
        assert (message.media.id, message.media.url) == (message.message_id, None)


@pytest.mark.parametrize("name", _IGNORED)
def test_a_real_event_without_a_message_is_counted(name: str) -> None:
    """Each captured receipt, echo, group message and other event is ignored under its kind."""
    assert parse(load(name)) == Parsed(ignored=Counter({_IGNORED[name]: 1}))


@pytest.mark.parametrize("name", _ECHOES)
def test_a_real_message_of_the_account_is_an_echo(name: str) -> None:
    """What the account wrote names its reader and its id, and opens no window."""
    payload, (user, message_id) = load(name), _ECHOES[name]
    echo = Echo(instance=payload["instance"], user=user, message_id=message_id)
    assert parse(payload) == Parsed(echoes=(echo,))


def test_a_real_reaction_in_a_group_is_one_where_groups_are_on() -> None:
    """It is no turn there either."""
    assert parse(load("18_group_reaction.json"), groups=True) == Parsed(ignored={"reaction": 1})


@pytest.mark.parametrize("name", [*_PARTS, *_IGNORED_PARTS])
def test_a_real_message_object_is_read_inside_an_envelope(name: str) -> None:
    """WhatsApp's own objects, as Evolution puts them into ``data``, give kind, text and user."""
    payload = {"event": "messages.upsert", "instance": "parts", "data": load(f"parts/{name}")}
    if name in _IGNORED_PARTS:
        assert parse(payload) == Parsed(ignored=Counter({_IGNORED_PARTS[name]: 1}))
        return
    message = message_of(payload)
    assert (message.kind, message.text) == _PARTS[name]
    assert (message.user, message.media) == ("5511999990001", None)
    quotes = name.startswith("32")
    assert message.quoted == ("AC23570AE54CCF58A8923E45CC6089E8" if quotes else None)


@pytest.mark.parametrize("name", _MESSAGES)
def test_a_real_message_that_comes_late_is_counted_as_too_old(name: str) -> None:
    """The same payloads replayed long after are not handled again."""
    assert parse(load(name), max_age_ms=1000) == Parsed(ignored=Counter({"too_old": 1}))


@pytest.mark.parametrize("name", _MESSAGES)
def test_no_secret_of_a_real_payload_is_kept(name: str) -> None:
    """The envelope's ``apikey`` is in nothing that is stored, not even with STORE_RAW."""
    payload = load(name)
    stored = encode_message(message_of(payload))
    assert b"apikey" not in stored
    assert (payload["apikey"] or "no apikey is exposed").encode() not in stored


def test_every_payload_has_an_expectation() -> None:
    """A payload that is added to the folder fails here until somebody has reasoned about it."""
    assert {path.name for path in FOLDER.glob("*.json")} == {*_MESSAGES, *_IGNORED, *_ECHOES}
    parts = {path.name for path in FOLDER.glob("parts/*.json")}
    assert parts == _PARTS.keys() | _IGNORED_PARTS.keys()
