"""What is written in Redis is read back as it was, and nothing else is read at all."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from shared.errors import EntryUndecodable
from shared.model import ClosedBy, EntryId, Kind, Media, Message, Window, WindowId
from shared.model import Entry as StreamEntry
from shared.wire import (
    FIELD,
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
from shared.written import MessageBody

INSTANCE = "shop"
ENTRY_ID = b"1700000000000-3"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
maybe_text = st.none() | texts
times = st.integers(0, 2**53)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
media = st.builds(
    Media,
    url=maybe_text,
    id=maybe_text,
    mime=maybe_text,
    caption=maybe_text,
    name=maybe_text,
    size_bytes=st.none() | times,
    duration_s=st.none() | times,
    data=maybe_text,
    omitted=st.booleans(),
)
messages = st.builds(
    Message,
    instance=st.just(INSTANCE),
    user=texts,
    message_id=texts,
    text=texts,
    kind=st.sampled_from(Kind),
    sent_at=st.none() | times,
    received_at=times,
    media=st.none() | media,
    quoted=maybe_text,
    name=maybe_text,
    reply_to=maybe_text,
    provider=maybe_text,
    trace=maybe_text,
    raw=st.none() | json_values,
)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """A window of one user, with one to four messages."""
    user = draw(texts)
    members = [replace(m, user=user) for m in draw(st.lists(messages, min_size=1, max_size=4))]
    entries = tuple(
        StreamEntry(id=EntryId(draw(times), number), message=message)
        for number, message in enumerate(members)
    )
    return Window(
        id=WindowId(draw(texts)),
        instance=INSTANCE,
        user=user,
        entries=entries,
        closed_by=draw(st.sampled_from(ClosedBy)),
        opened_at=draw(times),
        closed_at=draw(times),
    )


letters = st.builds(
    DeadLetter,
    window=st.none() | windows(),
    error=texts,
    attempts=st.integers(0, 100),
    instance=st.just(INSTANCE),
    raw=maybe_text,
)
replies = st.builds(
    OutboxReply,
    window_id=texts.map(WindowId),
    instance=texts,
    user=texts,
    texts=st.lists(texts, max_size=3).map(tuple),
    provider=maybe_text,
    reply_to=maybe_text,
    message_ids=st.lists(texts, max_size=3).map(tuple),
    metadata=st.dictionaries(texts, json_values, max_size=2),
)


def decode_value(value: bytes) -> StreamEntry:
    """An entry with this value in its field."""
    return decode_entry(INSTANCE, ENTRY_ID, [FIELD, value])


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


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_other_version_is_undecodable(version: object) -> None:
    """A later inturn wrote it: this one keeps it, and does not guess."""
    body = {"v": version, "user": "1", "message_id": "A", "received_at": 1}
    with pytest.raises(EntryUndecodable, match="version"):
        decode_value(orjson.dumps(body))


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
