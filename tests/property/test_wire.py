"""What is written in Redis is read back as it was, also what an earlier version wrote."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from shared.errors import EntryUndecodable
from shared.model import ClosedBy, EntryId, Kind, Media, Message, Window, WindowId
from shared.model import Entry as StreamEntry
from shared.wire import (
    DeadLetter,
    OutboxReply,
    decode_dead_letter,
    decode_reply,
    encode_dead_letter,
    encode_message,
    encode_replay,
    encode_reply,
)
from shared.written import MessageBody
from tests.support.wire_values import INSTANCE, decode_value, letters, messages, replies, windows


@settings(max_examples=200, deadline=None)
@given(message=messages)
def test_message_comes_back_as_it_was(message: Message) -> None:
    """Every field, its defaults and its absence."""
    value = encode_message(message)
    entry = StreamEntry(id=EntryId(1700000000000, 3), message=message, size_bytes=len(value))
    assert decode_value(value) == entry


@settings(max_examples=100, deadline=None)
@given(window=windows())
def test_replayed_window_comes_back_whole(window: Window) -> None:
    """Id, members with their entry ids, and why and when it closed."""
    entry = decode_value(encode_replay(window))
    assert entry.replayed == window
    assert entry.message == window.entries[0].message


@settings(max_examples=100, deadline=None)
@given(letter=letters)
def test_dead_letter_comes_back_as_it_was(letter: DeadLetter) -> None:
    """With its window, or with the bytes of an entry that could not be read."""
    assert decode_dead_letter(encode_dead_letter(letter)) == letter


@settings(max_examples=100, deadline=None)
@given(reply=replies)
def test_reply_comes_back_as_it_was(reply: OutboxReply) -> None:
    """Texts in their order, whom it goes to, for which messages, and what was said besides."""
    assert decode_reply(encode_reply(reply)) == reply


def test_a_reply_of_an_older_version_has_no_metadata() -> None:
    """What waits in the outbox while services are replaced by newer ones is sent."""
    value = (
        b'{"v":1,"window_id":"w_1","instance":"shop","user":"u","texts":["hi"],'
        b'"provider":null,"reply_to":null,"message_ids":["m1"]}'
    )
    reply = decode_reply(value)
    assert (reply.texts, reply.metadata) == (("hi",), {})
    assert encode_reply(reply) == value


def test_what_an_earlier_inturn_wrote_is_read() -> None:
    """Its order of fields, its nulls and its numbers in ``raw`` mean the same for ever."""
    value = (
        b'{"v":1,"user":"1","message_id":"A","text":"hi","kind":"image","sent_at":null,'
        b'"received_at":7,"media":{"mime":"image/png","size_bytes":3},"quoted":"B","name":"Ana",'
        b'"reply_to":"1@s.whatsapp.net","provider":"evolution","raw":{"a":[1,1.5,1e300,null]}}'
    )
    assert decode_value(value).message == Message(
        instance=INSTANCE,
        user="1",
        message_id="A",
        text="hi",
        kind=Kind.IMAGE,
        received_at=7,
        media=Media(mime="image/png", size_bytes=3),
        quoted="B",
        name="Ana",
        reply_to="1@s.whatsapp.net",
        provider="evolution",
        raw={"a": [1, 1.5, 1e300, None]},
    )


def test_every_field_of_a_message_is_written() -> None:
    """One that is added to ``Message`` alone, or in another place, would be lost in Redis."""
    assert ("instance", *MessageBody.__struct_fields__) == Message.__struct_fields__


@pytest.mark.parametrize(
    "changes", [{"instance": "other"}, {"user": "2"}, {"entries": []}, {"entries": [{}]}]
)
def test_replayed_window_must_fit_its_stream(changes: dict[str, Any]) -> None:
    """Another instance's or another user's messages would be finished in the wrong place."""
    message = Message(instance=INSTANCE, user="1", message_id="A", received_at=1)
    window = Window(
        id=WindowId("w_1"),
        instance=INSTANCE,
        user="1",
        entries=(StreamEntry(id=EntryId(1, 0), message=message),),
        closed_by=ClosedBy.MAX_WAIT,
        opened_at=1,
        closed_at=2,
    )
    body = orjson.loads(encode_replay(window))
    assert decode_value(orjson.dumps(body)).replayed == window
    body["window"] |= changes
    with pytest.raises(EntryUndecodable):
        decode_value(orjson.dumps(body))
