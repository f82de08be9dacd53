"""A message in somebody's event is read generously, and means what it means to the API."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.message_form import MESSAGE_FIELDS, read_messages
from shared.model import Group, Kind, Media, Message
from tests.support.parsing import INSTANCE, recipient
from tests.support.standard_payloads import (
    GOOD,
    RECEIVED_AT,
    SENT_AT,
    cloud_event,
    envelope,
    only_message,
    parse,
)


def test_a_message_in_a_standard_webhook_keeps_every_field() -> None:
    """``data`` is a message as the API takes it; the time is the envelope's."""
    data = {
        "instance": "ignored, for the path names it",
        "user": "guest-7",
        "text": "are you open?",
        "message_id": "m-1",
        "kind": "button",
        "quoted": "m-0",
        "name": "Ana",
        "reply_to": "room/7",
        "media": {"url": "https://files.example.org/1.jpg", "mime": "image/jpeg"},
    }
    assert only_message(envelope(data)) == Message(
        instance=INSTANCE,
        user="guest-7",
        message_id="m-1",
        text="are you open?",
        kind=Kind.BUTTON,
        sent_at=SENT_AT,
        received_at=RECEIVED_AT,
        quoted="m-0",
        name="Ana",
        reply_to="room/7",
        media=Media(url="https://files.example.org/1.jpg", mime="image/jpeg"),
        provider="standard",
    )


def test_what_has_a_time_and_no_id_is_known_by_what_it_says() -> None:
    """The same bytes again are the same message, and another second is another one."""
    data = {"user": "u", "text": "hi"}
    first = only_message(envelope(data)).message_id
    assert only_message(envelope(data)).message_id == first
    later = envelope(data, timestamp="2026-03-04T05:06:08Z")
    assert only_message(later).message_id != first
    assert only_message({**data, "sent_at": 5}).message_id != first


def test_what_has_neither_id_nor_time_is_a_message_each_time() -> None:
    """A second "yes" is another answer."""
    data = {"user": "u", "text": "yes"}
    assert only_message(data).message_id != only_message(data).message_id


def test_an_id_that_is_too_long_is_shortened_the_same_each_time() -> None:
    """No id is refused for its length."""
    long = only_message(GOOD | {"message_id": "x" * 600}).message_id
    assert long == only_message(GOOD | {"message_id": "x" * 600}).message_id
    assert long != only_message(GOOD | {"message_id": "x" * 601}).message_id
    assert len(long) < 100


@pytest.mark.parametrize(
    "at, sent_at",
    [
        (1_772_600_767_123, 1_772_600_767_123),
        ("1772600767123", 1_772_600_767_123),
        ("2026-03-04T05:06:07.123456789Z", 1_772_600_767_123),
        ("2026-03-04t05:06:07z", 1_772_600_767_000),
        ("2026-03-04T02:06:07-03:00", 1_772_600_767_000),
        ("2026-03-04T05:06:07", SENT_AT),
        ("soon", SENT_AT),
        ("1969-01-01T00:00:00Z", SENT_AT),
        ("0001-01-01T00:00:00+23:59", SENT_AT),
        (-1, SENT_AT),
        (1e300, SENT_AT),
        (True, SENT_AT),
        ({"at": 1}, SENT_AT),
        (None, SENT_AT),
    ],
)
def test_the_time_is_the_messages_else_the_events(at: Any, sent_at: int) -> None:
    """Ms or ISO 8601 with a zone; a time that cannot be told is the envelope's."""
    assert only_message(envelope(GOOD | {"sent_at": at})).sent_at == sent_at
    assert only_message(cloud_event(GOOD | {"sent_at": at})).sent_at == sent_at


@pytest.mark.parametrize(
    "changes, kind, text",
    [
        ({"kind": "hologram"}, Kind.UNKNOWN, "hi"),
        ({"kind": "IMAGE"}, Kind.IMAGE, "hi"),
        ({"kind": "hologram", "text": None}, Kind.UNKNOWN, ""),
        ({"text": 42}, Kind.TEXT, "42"),
        ({"kind": [1]}, Kind.TEXT, "hi"),
        ({"kind": "location", "text": {}}, Kind.LOCATION, ""),
        ({"media": {"mime": "audio/ogg"}, "text": None}, Kind.AUDIO, ""),
        ({"media": {}}, Kind.DOCUMENT, "hi"),
        ({"media": "https://files.example.org/1.jpg"}, Kind.TEXT, "hi"),
        ({"mood": "new", "sentat": 5}, Kind.TEXT, "hi"),
    ],
)
def test_what_is_not_understood_costs_no_message(
    changes: dict[str, Any], kind: Kind, text: str
) -> None:
    """Another kind is ``unknown``; a field of the wrong sort, or of no name, is none."""
    message = only_message(envelope(GOOD | changes))
    assert (message.kind, message.text) == (kind, text)


def test_a_number_may_name_a_user() -> None:
    """Systems that count their customers write no quotes."""
    assert only_message(GOOD | {"user": 1204}).user == "1204"


def test_large_media_is_cut_out() -> None:
    """The bytes go and what describes them stays; small ones travel with the message."""
    data = base64.b64encode(bytes(30)).decode()
    media = {"data": data, "id": "f-1", "size_bytes": None, "duration_s": "4"}
    small = only_message(GOOD | {"media": media}, media_inline_bytes=30).media
    assert small == Media(id="f-1", data=data, size_bytes=30, duration_s=4)
    large = only_message(GOOD | {"media": media}, media_inline_bytes=29).media
    assert large == Media(id="f-1", size_bytes=30, duration_s=4, omitted=True)


@pytest.mark.parametrize("url", ["data:image/png;base64,AA==", "file:///etc/hosts", "x", 5, []])
def test_a_file_is_fetched_over_http_or_not_at_all(url: Any) -> None:
    """Another sort of address is none."""
    media = only_message(GOOD | {"media": {"url": url, "name": "a.png"}}).media
    assert media == Media(name="a.png")


def test_groups_are_counted_unless_they_are_wanted() -> None:
    """Wanted, each author in each group is a conversation that is answered in the group."""
    data = GOOD | {"group": "lobby"}
    assert parse(envelope(data)).ignored == {"group": 1}
    message = only_message(envelope(data), recipient_of=recipient(groups=True))
    assert (message.user, message.reply_to) == ("lobby/guest-7", "lobby")
    assert message.group == Group(id="lobby", author="guest-7")


def test_raw_is_the_item_without_secrets_and_large_bytes() -> None:
    """With STORE_RAW a message keeps what it came as."""
    data = GOOD | {"token": "planted", "extra": {"a": 1}, "media": {"data": "QUJD" * 10}}
    assert only_message(data).raw is None
    message = only_message(data, recipient_of=recipient(store_raw=True), media_inline_bytes=10)
    assert message.raw == GOOD | {"extra": {"a": 1}, "media": {"data": None}}


PLAIN = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=40)
MEDIA = st.fixed_dictionaries(
    {},
    optional={
        "url": st.just("https://files.example.org/1"),
        "id": PLAIN,
        "mime": st.sampled_from(["image/png", "audio/ogg", "text/plain"]),
        "caption": PLAIN,
        "name": PLAIN,
        "size_bytes": st.integers(0, 2**40),
        "duration_s": st.integers(0, 10**6),
        "data": st.binary(min_size=1, max_size=60).map(lambda raw: base64.b64encode(raw).decode()),
        "omitted": st.booleans(),
    },
)
MESSAGES = st.fixed_dictionaries(
    {
        "instance": st.just(INSTANCE),
        "user": PLAIN,
        "text": st.text(min_size=1),
        "message_id": PLAIN,
    },
    optional={
        "sent_at": st.integers(0, 10**14),
        "kind": st.sampled_from(list(Kind)).map(str),
        "media": MEDIA,
        "quoted": PLAIN,
        "name": PLAIN,
    },
)


@given(MESSAGES)
def test_what_the_api_takes_is_the_same_message_here(item: dict[str, Any]) -> None:
    """The form has one meaning through both doors."""
    assert {
        *("instance", "user", "text", "message_id", "sent_at", "kind", "media", "quoted", "name")
    } == MESSAGE_FIELDS, "a new field of the form must be read here too"
    (expected,) = read_messages(item, received_at=RECEIVED_AT, media_inline_bytes=30)
    message = only_message(item, media_inline_bytes=30)
    assert message.provider == "standard"
    assert orjson.dumps(fields_of(message)) == orjson.dumps(fields_of(expected))


def fields_of(message: Message) -> dict[str, Any]:
    """All fields but that which says through which door it came."""
    return {
        name: repr(getattr(message, name))
        for name in Message.__struct_fields__
        if name != "provider"
    }
