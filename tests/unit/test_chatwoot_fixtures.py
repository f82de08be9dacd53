"""
Real payloads of Chatwoot, and what its rules say each of them holds.

The payloads are not part of the project: the tests read them beside it, and skip where they are
absent. The expectations were reasoned from the rules by hand, payload by payload.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.model import Kind, Media, Message
from shared.providers import Echo, Parsed
from shared.providers.chatwoot import Chatwoot
from shared.wire import decode_message, encode_message
from tests.support.chatwoot_payloads import parse
from tests.support.parsing import account_itself

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "fixtures" / "providers" / "chatwoot"
RECEIVED_AT = 1_790_000_000_000

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the folder of real payloads is not beside the project"
)

_MESSAGES = {
    "01_incoming_whatsapp_text.json": Message(
        instance="96568",
        user="447380001167",
        message_id="589120994",
        text="Make it 8",
        sent_at=1_776_971_662_978,
        received_at=RECEIVED_AT,
        name="Charl N",
        reply_to="1681",
        provider="chatwoot",
        with_human=True,
    ),
    "02_incoming_telegram_text.json": Message(
        instance="88",
        user="670097216",
        message_id="227051",
        text="Hey",
        sent_at=1_743_174_783_922,
        received_at=RECEIVED_AT,
        name="Oracle ",
        reply_to="1",
        provider="chatwoot",
        with_human=True,
    ),
    "08_incoming_audio_content_null.json": Message(
        instance="65",
        user="554190008353",
        message_id="(of its content)",
        kind=Kind.AUDIO,
        received_at=RECEIVED_AT,
        media=Media(url="https://host20.example.com/File.ogg"),
        reply_to="2000",
        provider="chatwoot",
    ),
    "09_incoming_image_content_null.json": Message(
        instance="65",
        user="554190008353",
        message_id="(of its content)",
        kind=Kind.IMAGE,
        received_at=RECEIVED_AT,
        media=Media(url="https://host20.example.com/File.jpg"),
        reply_to="2000",
        provider="chatwoot",
    ),
}

_ECHOES = {
    "07_outgoing_agent_message.json": Echo(
        instance="1", user="83b72ca2-9bfe-4fd5-AAAA-83e9c81938f1", message_id="222"
    ),
}

_IGNORED = {
    "03_template_input_email_ignore.json": "template",
    "04_conversation_created.json": "conversation",
    "05_contact_created.json": "contact_update",
    "06_webwidget_triggered.json": "other",
    "10_conversation_typing_on.json": "presence",
    "11_contact_updated.json": "contact_update",
    "12_conversation_updated_big_changes.json": "conversation",
    "13_conversation_status_changed_null_changes.json": "conversation",
}


def load(name: str) -> Any:
    """A payload as it came."""
    return orjson.loads((FOLDER / name).read_bytes())


def parsed(name: str, **changes: Any) -> Parsed:
    """What the provider makes of it; each inbox is an instance."""
    fields: dict[str, Any] = {"recipient_of": account_itself, "received_at": RECEIVED_AT}
    return parse(load(name), **(fields | changes))


@pytest.mark.parametrize("name", _MESSAGES)
def test_a_contacts_message_is_what_the_rules_say(name: str) -> None:
    """Every field, and what is written is read again."""
    result = parsed(name)
    (message,) = result.messages
    expected = _MESSAGES[name]
    if expected.message_id == "(of its content)":
        assert message.message_id.startswith("hash:")
        expected = Message(
            **{each: getattr(expected, each) for each in expected.__struct_fields__}
            | {"message_id": message.message_id}
        )
    assert message == expected
    assert result == Parsed(messages=(expected,))
    assert decode_message(message.instance, encode_message(message)) == message


def test_two_messages_without_ids_are_two() -> None:
    """The two reduced payloads are of one person and one conversation."""
    ids = {parsed(name).messages[0].message_id for name in _MESSAGES if name[:2] in ("08", "09")}
    assert len(ids) == 2


@pytest.mark.parametrize("name", _ECHOES)
def test_an_agents_message_is_an_echo(name: str) -> None:
    """Under the id that it has in Chatwoot."""
    assert parsed(name) == Parsed(echoes=(_ECHOES[name],))


@pytest.mark.parametrize("name", _IGNORED)
def test_everything_else_is_counted(name: str) -> None:
    """By kind."""
    assert parsed(name) == Parsed(ignored={_IGNORED[name]: 1})
    assert _IGNORED[name] in Chatwoot.ignored_kinds


@pytest.mark.parametrize("name", ["01_incoming_whatsapp_text.json"])
def test_no_token_of_a_real_payload_is_kept(name: str) -> None:
    """Not even with STORE_RAW."""
    payload = load(name)
    token = payload["conversation"]["contact_inbox"]["pubsub_token"]
    (message,) = parsed(
        name, recipient_of=lambda *_named: account_itself("1"), store_raw=True
    ).messages
    assert token not in encode_message(message).decode()


def test_every_payload_has_an_expectation() -> None:
    """A payload that is added to the folder fails here until somebody has reasoned about it."""
    known = _MESSAGES.keys() | _ECHOES.keys() | _IGNORED.keys()
    assert {path.name for path in FOLDER.glob("*.json")} == known
