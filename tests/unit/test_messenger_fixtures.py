"""
Real payloads of Messenger and Instagram, and what the rules say each of them holds.

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
from shared.providers.messenger import Messenger
from shared.wire import decode_message, encode_message
from tests.support.parsing import account_itself, parse_with

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "fixtures" / "providers" / "messenger"
RECEIVED_AT = 1_790_000_000_000
PAGE = "100000000000001"
INSTAGRAM = "17841400000000000"
USER = "200000000000001"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the folder of real payloads is not beside the project"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """
    The one message of a payload. ``message_id`` None: it has none, and one is made.

    ``reply_to`` says where Instagram's texts go, for they are shorter.
    """

    text: str
    kind: Kind = Kind.TEXT
    account: str = PAGE
    user: str = USER
    reply_to: str = USER
    message_id: str | None
    sent_at: int
    quoted: str | None = None
    media: Media | None = None


def on_instagram(**fields: Any) -> Expected:
    """The one message of a payload of Instagram."""
    return Expected(account=INSTAGRAM, reply_to=f"instagram:{USER}", **fields)


_MESSAGES = {
    "01_messenger_text.json": Expected(
        text="What is Vercel?", message_id="m_FAKE_MSG_ID_001", sent_at=1772998024000
    ),
    "02_messenger_image.json": Expected(
        kind=Kind.IMAGE,
        text="",
        message_id="m_FAKE_IMG_001",
        sent_at=1772998104000,
        media=Media(url="https://example.com/image.jpg"),
    ),
    "03_messenger_postback_get_started.json": Expected(
        kind=Kind.BUTTON, text="Get Started", message_id=None, sent_at=1772998094000
    ),
    "08_instagram_text.json": on_instagram(
        text="Do you ship to Córdoba?", message_id="mid.text.1", sent_at=1772998024000
    ),
    "09_instagram_image.json": on_instagram(
        kind=Kind.IMAGE,
        text="",
        message_id="mid.image.1",
        sent_at=1772998034000,
        media=Media(url="https://cdn.example.com/product.jpg"),
    ),
    "10_instagram_story_reply.json": on_instagram(
        text="Is this still available?",
        message_id="mid.story.reply.1",
        sent_at=1772998044000,
        quoted="17900000000000001",
    ),
    "11_instagram_quick_reply.json": on_instagram(
        kind=Kind.BUTTON, text="Yes", message_id="mid.quick.1", sent_at=1772998064000
    ),
    "12_instagram_postback.json": on_instagram(
        kind=Kind.BUTTON,
        text="Track order",
        message_id="postback:mid.postback.1",
        sent_at=1772998074000,
    ),
    # no object says which of the two it is; the time is ISO 8601
    "15_instagram_share_attachment.json": Expected(
        account="instagram-message-id-1234",
        user="Sender-id-1",
        reply_to="Sender-id-1",
        kind=Kind.UNKNOWN,
        text="",
        message_id="message-id-1",
        sent_at=1631082844000,
        media=Media(url="https://www.example.com/test.jpeg"),
    ),
    "16_instagram_story_mention.json": on_instagram(
        kind=Kind.UNKNOWN,
        text="",
        message_id="mid.story.mention.1",
        sent_at=1772998054000,
        media=Media(url="https://cdn.example.com/mention.jpg"),
    ),
    "19_messenger_postback_json_payload.json": Expected(
        kind=Kind.BUTTON, text="Say Hello", message_id=None, sent_at=1772998084000
    ),
}

_IGNORED = {
    "04_messenger_delivery.json": "receipt",
    "05_messenger_read.json": "receipt",
    "06_messenger_reaction.json": "reaction",
    "13_instagram_reaction.json": "reaction",
    "17_instagram_unsend.json": "deletion",
    "18_messenger_unreact.json": "reaction",
    "20_instagram_seen_with_mid.json": "receipt",
    "21_instagram_standby_event.json": "standby",
}

_ECHOES = {
    "07_messenger_echo.json": Echo(instance=PAGE, user=USER, message_id="m_ECHO_MSG_001"),
    "14_instagram_echo.json": Echo(instance=INSTAGRAM, user=USER, message_id="mid.echo.1"),
}


def parse(name: str) -> Parsed:
    """What the provider makes of a payload; each account is an instance of its own."""
    payload: Any = orjson.loads((FOLDER / name).read_bytes())
    return parse_with(Messenger(), payload, received_at=RECEIVED_AT, recipient_of=account_itself)


@pytest.mark.parametrize("name", _MESSAGES)
def test_a_real_message_is_read(name: str) -> None:
    """Each payload gives the account, user, text, kind, time and media that the rules say."""
    parsed, expected = parse(name), _MESSAGES[name]
    assert (parsed.echoes, parsed.ignored) == ((), {})
    (message,) = parsed.messages
    assert decode_message(message.instance, encode_message(message)) == message
    assert (message.instance, message.user, message.reply_to) == (
        expected.account,
        expected.user,
        expected.reply_to,
    )
    if expected.message_id is None:
        assert message.message_id.startswith("postback:")
        assert parse(name).messages == parsed.messages
    else:
        assert message.message_id == expected.message_id
    assert (message.kind, message.text, message.name) == (expected.kind, expected.text, None)
    assert (message.sent_at, message.quoted) == (expected.sent_at, expected.quoted)
    assert message.media == expected.media


@pytest.mark.parametrize("name", _IGNORED)
def test_a_real_event_without_a_message_is_counted(name: str) -> None:
    """Receipts, reactions, what is unsent and the like are ignored under their kind."""
    assert parse(name) == Parsed(ignored={_IGNORED[name]: 1})


@pytest.mark.parametrize("name", _ECHOES)
def test_a_real_echo_is_one(name: str) -> None:
    """The page is the sender, so the user is the recipient."""
    assert parse(name) == Parsed(echoes=(_ECHOES[name],))


def test_every_payload_has_an_expectation() -> None:
    """A payload that is added to the folder fails here until somebody has reasoned about it."""
    reasoned = _MESSAGES.keys() | _IGNORED.keys() | _ECHOES.keys()
    assert {path.name for path in FOLDER.glob("*.json")} == reasoned
