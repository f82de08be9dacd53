"""
Real updates of Telegram, and what its rules say each of them holds.

The payloads are not part of the project: the tests read them beside it, and skip where they are
absent. The expectations were reasoned from the rules by hand, payload by payload.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.model import Group, Kind, Media, Message
from shared.wire import decode_message, encode_message
from tests.support.telegram_payloads import RECEIVED_AT, parse

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "fixtures" / "providers" / "telegram"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the folder of real payloads is not beside the project"
)


def said(user: str, message_id: str, sent_s: int | None, text: str, **more: Any) -> Message:
    """A message in a private chat: the chat's id is the user's and the address."""
    fields: dict[str, Any] = {
        "instance": "front-desk",
        "user": user,
        "message_id": message_id,
        "text": text,
        "sent_at": None if sent_s is None else sent_s * 1000,
        "received_at": RECEIVED_AT,
        "reply_to": user,
        "provider": "telegram",
    }
    return Message(**(fields | more))


TEST = {"name": "Test Firstname Test Lastname"}
TESTER = {"name": "Tester"}
SOJAN = {"name": "Sojan Jose"}
LARGEST = "AgACAgUAAxkBAAMRaH8qXw-VQSGAG4X4VoCg9A5nE50AAvLGMRtBGPlXGt4-FX4l2_oBAAMCAAN5AAM2BA"
VIDEO = "BAACAgUAAxkBAAOGYV3e_F8-v3OoAs23SJIBolyXMMMAAqsDAAKd8fBW4X9xFmpoAlghBA"
STICKER = "CAACAgEAAxkBAANHYV6SqK4_QokaTV90Dp-2D2el0uAAAuMAA3FRvjHsabcjn_Em3yEE"
CAPTION_15 = "This is an image message."
CAPTION_17 = "This is a media image."
LONG = (
    "This is another test post.\nThis post contains an embed.\n"
    "https://www.youtube.com/watch?v=Cq3LOsf2kSY\nIt also contains emojis : 😀👋"
)

_MESSAGES = {
    "01_text_private.json": said("408258968", "154", 1581448857, "4", name="Hirrolot"),
    "02_start_command.json": said("1111111", "1365", 1441645532, "/start", **TEST),
    "03_reply.json": said("1111111", "1365", 1441645532, "/start", quoted="1334", **TEST),
    "04_photo_no_caption.json": said(
        "100000001",
        "17",
        1753164384,
        "",
        kind=Kind.IMAGE,
        media=Media(id=LARGEST, size_bytes=173215),
        name="Test User",
    ),
    "05_voice.json": said(
        "1111111",
        "1365",
        1441645532,
        "",
        kind=Kind.AUDIO,
        media=Media(
            id="AwADBAADbXXXXXXXXXXXGBdhD2l6_XX", mime="audio/ogg", size_bytes=23000, duration_s=5
        ),
        **TEST,
    ),
    "06_document_pdf.json": said(
        "1111111",
        "1365",
        1441645532,
        "",
        kind=Kind.DOCUMENT,
        media=Media(
            id="AwADBAADbXXXXXXXXXXXGBdhD2l6_XX",
            mime="application/pdf",
            name="Testfile.pdf",
            size_bytes=536392,
        ),
        **TEST,
    ),
    "08_callback_query_inline.json": said(
        "1111111",
        "callback:4382bfdwdsb323b2d9",
        None,
        "Data from button callback",
        kind=Kind.BUTTON,
        **TEST,
    ),
    "09_text_entities.json": said("1111111", "1365", 1441645532, "Bold and italics", **TEST),
    "11_sticker.json": said(
        "23",
        "1",
        1631132077,
        "👍",
        kind=Kind.STICKER,
        media=Media(id=STICKER, size_bytes=7340),
        **SOJAN,
    ),
    "14_mention_private.json": said(
        "7527593", "133", 1767224888, "@vercelchatsdkbot hi", name="Test User"
    ),
    "15_photo_caption.json": said(
        "100",
        "6",
        1626555489,
        CAPTION_15,
        kind=Kind.IMAGE,
        media=Media(id="eAADIAQ", caption=CAPTION_15, size_bytes=31254),
        **TESTER,
    ),
    "16_text_multiline_url_emoji.json": said("100", "3", 1626555312, LONG, **TESTER),
    "17_album_part1_with_caption.json": said(
        "100",
        "7",
        1626555527,
        CAPTION_17,
        kind=Kind.IMAGE,
        media=Media(id="eAADIAQ", caption=CAPTION_17, size_bytes=31254),
        **TESTER,
    ),
    "18_album_part2_no_caption.json": said(
        "100",
        "8",
        1626555527,
        "",
        kind=Kind.IMAGE,
        media=Media(id="CAAN5AAMgBA", size_bytes=43307),
        **TESTER,
    ),
    "22_video_mov.json": said(
        "23",
        "1",
        1631132077,
        "",
        kind=Kind.VIDEO,
        media=Media(
            id=VIDEO, mime="video/mp4", name="IMG_2170.MOV", size_bytes=291286, duration_s=1
        ),
        **SOJAN,
    ),
}

_IGNORED = {
    "07_edited_message.json": "edit",
    "10_group_text.json": "group",
    "12_my_chat_member_blocked.json": "membership",
    "13_message_reaction.json": "reaction",
    "19_pinned_message_service.json": "group",
    "20_dice_group.json": "group",
    "21_inline_query_numeric_id.json": "inline_query",
    "23_edited_channel_post.json": "edit",
    "24_channel_post_pinned_cyrillic.json": "broadcast",
}

DICE_GROUP = "-1001276785818"
_IN_GROUPS = {
    "10_group_text.json": said(
        "23/23", "1", 1631132077, "test", group=Group(id="23", author="23"), reply_to="23", **SOJAN
    ),
    "20_dice_group.json": said(
        f"{DICE_GROUP}/408258968",
        "35410",
        1596014550,
        "🎲 2",
        kind=Kind.UNKNOWN,
        group=Group(id=DICE_GROUP, author="408258968"),
        reply_to=DICE_GROUP,
        name="Hirrolot",
    ),
}


def load(name: str) -> Any:
    """A payload by its file name."""
    return orjson.loads((FOLDER / name).read_bytes())


@pytest.mark.parametrize("name", _MESSAGES)
def test_a_real_message_is_read(name: str) -> None:
    """Each captured message is what the rules say, all of it, and survives the wire."""
    parsed = parse(load(name))
    assert (parsed.messages, parsed.ignored) == ((_MESSAGES[name],), {})
    (message,) = parsed.messages
    assert decode_message(message.instance, encode_message(message)) == message


@pytest.mark.parametrize("name", _IGNORED)
def test_a_real_update_without_a_users_message_is_counted(name: str) -> None:
    """Each captured edit, group message, channel post and other update has its kind."""
    parsed = parse(load(name))
    assert (parsed.messages, parsed.ignored) == ((), {_IGNORED[name]: 1})


@pytest.mark.parametrize("name", [*_IN_GROUPS, "19_pinned_message_service.json"])
def test_a_real_group_is_read_where_groups_are_on(name: str) -> None:
    """One conversation per group and author; that a message was pinned is nobody's turn."""
    parsed = parse(load(name), groups=True)
    if name in _IN_GROUPS:
        assert (parsed.messages, parsed.ignored) == ((_IN_GROUPS[name],), {})
    else:
        assert (parsed.messages, parsed.ignored) == ((), {"service": 1})


def test_every_payload_has_an_expectation() -> None:
    """A payload that is added to the folder fails here until somebody has reasoned about it."""
    assert {path.name for path in FOLDER.glob("*.json")} == _MESSAGES.keys() | _IGNORED.keys()
