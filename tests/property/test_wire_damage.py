"""What was damaged in Redis, or was never ours, is undecodable: no field has another type."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import fields

from shared.errors import EntryUndecodable
from shared.model import Kind, Media, Message, Window
from shared.wire import (
    DeadLetter,
    OutboxReply,
    decode_dead_letter,
    decode_entry,
    decode_reply,
    encode_dead_letter,
    encode_message,
    encode_replay,
    encode_reply,
)
from tests.support.wire_values import (
    ENTRY_ID,
    INSTANCE,
    decode_value,
    json_values,
    letters,
    messages,
    replies,
    windows,
)


@settings(max_examples=200, deadline=None)
@given(value=st.binary(max_size=60) | json_values.map(orjson.dumps))
def test_foreign_bytes_are_undecodable_and_nothing_else(value: bytes) -> None:
    """Whatever somebody wrote there: one kind of error, which dead-letters that entry alone."""
    for decode in (decode_value, decode_dead_letter, decode_reply):
        with pytest.raises(EntryUndecodable):
            decode(value)


@settings(max_examples=50, deadline=None)
@given(fields=st.lists(st.binary(max_size=5), max_size=4), entry_id=st.binary(max_size=8))
def test_foreign_fields_and_ids_are_undecodable(fields: list[bytes], entry_id: bytes) -> None:
    """An entry has exactly one field, and its id is Redis's."""
    with pytest.raises(EntryUndecodable):
        decode_entry(INSTANCE, ENTRY_ID, fields)
    with pytest.raises(EntryUndecodable):
        decode_entry(INSTANCE, entry_id, fields)


def change(body: Any, at: int, value: Any) -> bool:
    """Put ``value`` in the place of the ``at``-th leaf or branch; False: there is none."""
    places = [
        (holder, name)
        for holder in walk(body)
        for name in (holder if isinstance(holder, dict) else range(len(holder)))
    ]
    if not places:
        return False
    holder, name = places[at % len(places)]
    if holder[name] == value and type(holder[name]) is type(value):
        return False
    holder[name] = value
    return True


def walk(body: Any) -> list[Any]:
    """Every dict and list in a body."""
    inner = body.values() if isinstance(body, dict) else body
    return [body, *(found for v in inner if isinstance(v, dict | list) for found in walk(v))]


@settings(max_examples=300, deadline=None)
@given(message=messages, window=windows(), at=st.integers(0, 200), value=json_values)
def test_changed_entry_is_undecodable_or_keeps_its_types(
    message: Message, window: Window, at: int, value: Any
) -> None:
    """Damage to one place never gives a message whose fields have other types than promised."""
    for encoded in (encode_message(message), encode_replay(window)):
        body = orjson.loads(encoded)
        change(body, at, value)
        try:
            entry = decode_value(orjson.dumps(body))
        except EntryUndecodable:
            continue
        check_window(entry.replayed)
        check_message(entry.message)


@settings(max_examples=150, deadline=None)
@given(letter=letters, reply=replies, at=st.integers(0, 200), value=json_values)
def test_changed_letter_or_reply_is_undecodable_or_keeps_its_types(
    letter: DeadLetter, reply: OutboxReply, at: int, value: Any
) -> None:
    """Likewise for what waits in the outbox and in the dead letters."""
    body = orjson.loads(encode_dead_letter(letter))
    change(body, at, value)
    try:
        read = decode_dead_letter(orjson.dumps(body))
    except EntryUndecodable:
        pass
    else:
        check_window(read.window)
        assert (type(read.error), type(read.attempts)) == (str, int)
        assert type(read.instance) is str
        assert isinstance(read.raw, str | None)
    body = orjson.loads(encode_reply(reply))
    change(body, at, value)
    try:
        again = decode_reply(orjson.dumps(body))
    except EntryUndecodable:
        return
    assert {type(text) for text in (*again.texts, *again.message_ids)} <= {str}
    for name in ("window_id", "instance", "user"):
        assert type(getattr(again, name)) is str
    assert isinstance(again.provider, str | None)
    assert isinstance(again.reply_to, str | None)


def check_message(message: Message) -> None:
    """Every field is of its type; a bool is no number."""
    assert message.instance == INSTANCE
    for name in ("user", "message_id", "text"):
        assert type(getattr(message, name)) is str
    for name in ("quoted", "name", "reply_to", "provider"):
        assert isinstance(getattr(message, name), str | None)
    assert type(message.received_at) is int
    assert message.sent_at is None or type(message.sent_at) is int
    assert type(message.kind) is Kind
    if message.media is not None:
        for field in fields(Media):
            value = getattr(message.media, field.name)
            kind = {"omitted": bool, "size_bytes": int, "duration_s": int}.get(field.name, str)
            assert type(value) is kind or (value is None and kind is not bool)


def check_window(window: Window | None) -> None:
    """A window has members of one user, and times."""
    if window is None:
        return
    assert window.instance == INSTANCE
    assert window.entries
    assert type(window.id) is str
    assert type(window.user) is str
    assert (type(window.opened_at), type(window.closed_at)) == (int, int)
    for entry in window.entries:
        check_message(entry.message)
        assert entry.message.user == window.user


@pytest.mark.parametrize(
    "damage",
    [
        b'"received_at":1.0',
        b'"received_at":true',
        b'"received_at":"1"',
        b'"received_at":null',
        b'"received_at":NaN',
        b'"received_at":%d' % 2**70,
        b'"received_at":1,"sent_at":-%d' % 2**70,
        b'"received_at":1,"instance":"shop"',
        b'"received_at":1,"entry_id":"1-0"',
        b'"received_at":1,"kind":"poem"',
        b'"received_at":1,"text":null',
        b'"received_at":1,"text":"\\ud800"',
        b'"received_at":1,"text":"\xff"',
        b'"received_at":1,"text":"\xed\xa0\x80"',
        b'"received_at":1,"media":{"size_bytes":1.5}',
        b'"received_at":1,"media":{"colour":"red"}',
        b'"received_at":1,"raw":' + b"[" * 5000 + b"]" * 5000,
    ],
)
def test_damage_is_undecodable(damage: bytes) -> None:
    """Numbers that are none, texts that are no UTF-8, unknown fields, a nest without end."""
    begin = b'{"v":1,"user":"1","message_id":"A",'
    decode_value(begin + b'"received_at":1}')
    with pytest.raises(EntryUndecodable):
        decode_value(begin + damage + b"}")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_other_version_is_undecodable(version: object) -> None:
    """A later inturn wrote it: this one keeps it, and does not guess."""
    body = {"v": version, "user": "1", "message_id": "A", "received_at": 1}
    with pytest.raises(EntryUndecodable, match="version"):
        decode_value(orjson.dumps(body))
