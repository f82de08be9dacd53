"""
Real events of WAHA, and what its rules say each of them holds.

The payloads are not part of the project: the tests read them beside it, and skip where they are
absent. The expectations were reasoned from the rules by hand, payload by payload.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.model import Group, Kind, Media, Message
from shared.providers import Echo
from shared.providers.waha import Waha
from shared.wire import decode_message, encode_message
from tests.support.waha_payloads import RECEIVED_AT, parse

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "fixtures" / "providers" / "waha"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the folder of real payloads is not beside the project"
)


def said(user: str, message_id: str, sent_s: int, text: str, **more: Any) -> Message:
    """A message; ``reply_to`` is the chat that it came from."""
    fields: dict[str, Any] = {
        "instance": "front-desk",
        "user": user,
        "message_id": message_id,
        "text": text,
        "sent_at": sent_s * 1000,
        "received_at": RECEIVED_AT,
        "reply_to": f"{user}@c.us",
        "provider": "waha",
    }
    return Message(**(fields | more))


DOCS_USER = "11111111111"
DOCS_ID = "true_11111111111@c.us_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
DOCS_FILE = f"http://localhost:3000/api/files/{DOCS_ID}"
CAPTION = "Check this out (caption for the media)!"

_MESSAGES = {
    "01_message_text_gows_lid.json": said(
        "558580001932",
        "false_38354115214125@lid_3AC22AE73E797638455D",
        1768580591,
        "Ixi kkk",
        name="Lu✨",
        reply_to="38354115214125@lid",
    ),
    "02_message_image_caption.json": said(
        DOCS_USER,
        DOCS_ID,
        1667561485,
        CAPTION,
        kind=Kind.IMAGE,
        media=Media(url=f"{DOCS_FILE}.jpg", id=DOCS_ID, mime="image/jpeg", caption=CAPTION),
    ),
    "03_message_document_no_body.json": said(
        DOCS_USER,
        DOCS_ID,
        1667561485,
        "",
        kind=Kind.DOCUMENT,
        media=Media(
            url=f"{DOCS_FILE}.pdf", id=DOCS_ID, mime="application/pdf", name="some-file.pdf"
        ),
    ),
    "04_message_reply_to_media.json": said(
        DOCS_USER,
        DOCS_ID,
        1667561485,
        "Yes!",
        quoted="false_22222222@c.us_AAAAAAAAAAAAAAAAAAA",
    ),
}

_IGNORED = {
    "05_message_reaction_float_timestamp.json": "reaction",
    "06_message_ack_read.json": "receipt",
    "07_poll_vote.json": "poll",
    "08_presence_update_group.json": "presence",
    "09_session_status_working.json": "connection",
    "10_message_group_webjs.json": "group",
    "11_group_v2_participants.json": "group",
    "13_message_revoked_swagger.json": "deletion",
    "14_status_broadcast_media_no_from.json": "broadcast",
    "15_ack_group_participant_lid.json": "receipt",
    "16_poll_vote_group.json": "poll",
    "17_message_edited.json": "edit",
}

_ECHOES = {"12_message_any_fromme_api_all_fields.json": (DOCS_USER, "AAAAAAAAAAAAAAAAAAAA")}

GROUP = "120363404882958348@g.us"
AUTHOR = "24575693147275@lid"
_IN_GROUPS = {
    "10_message_group_webjs.json": said(
        f"{GROUP}/{AUTHOR}",
        f"false_{GROUP}_3EB01C0FDFD037F51A4DEF_{AUTHOR}",
        1769152370,
        "Blooooo",
        group=Group(id=GROUP, author=AUTHOR),
        reply_to=GROUP,
    )
}


def load(name: str) -> Any:
    """A payload by its file name."""
    return orjson.loads((FOLDER / name).read_bytes())


@pytest.mark.parametrize("name", _MESSAGES)
def test_a_real_message_is_read(name: str) -> None:
    """Each captured message is what the rules say, all of it, and survives the wire."""
    parsed = parse(load(name))
    assert (parsed.messages, parsed.echoes, parsed.ignored) == ((_MESSAGES[name],), (), {})
    (message,) = parsed.messages
    assert decode_message(message.instance, encode_message(message)) == message


@pytest.mark.parametrize("name", _IGNORED)
def test_a_real_event_without_a_users_message_is_counted(name: str) -> None:
    """Each captured receipt, group message, edit and other event has its kind."""
    parsed = parse(load(name))
    assert (parsed.messages, parsed.echoes, parsed.ignored) == ((), (), {_IGNORED[name]: 1})


@pytest.mark.parametrize("name", _ECHOES)
def test_a_real_message_of_the_account_itself_is_an_echo(name: str) -> None:
    """It is no user's, and carries WhatsApp's own id."""
    user, message_id = _ECHOES[name]
    parsed = parse(load(name))
    echo = Echo(instance="front-desk", user=user, message_id=message_id)
    assert (parsed.messages, parsed.echoes, parsed.ignored) == ((), (echo,), {})


@pytest.mark.parametrize("name", _IN_GROUPS)
def test_a_real_group_is_read_where_groups_are_on(name: str) -> None:
    """One conversation per group and author, answered in the group."""
    parsed = parse(load(name), groups=True)
    assert (parsed.messages, parsed.ignored) == ((_IN_GROUPS[name],), {})


def test_the_session_of_a_real_event_is_the_account() -> None:
    """All of these captures are of the session ``default``."""
    for path in FOLDER.glob("*.json"):
        assert Waha().account_of(load(path.name)) == "default"


def test_every_payload_has_an_expectation() -> None:
    """A payload that is added to the folder fails here until somebody has reasoned about it."""
    known = _MESSAGES.keys() | _IGNORED.keys() | _ECHOES.keys()
    assert {path.name for path in FOLDER.glob("*.json")} == known
