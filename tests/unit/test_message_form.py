"""What the API's messages become. What it refuses is tested over HTTP."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import RequestRefused
from shared.message_form import read_messages
from shared.model import Kind, Media, Message

GOOD = {"instance": "sales", "user": "u1", "text": "hi"}


def read(payload: Any) -> tuple[Message, ...]:
    """What the form makes of ``payload`` where media above 16 bytes is cut out."""
    return read_messages(payload, received_at=7, media_inline_bytes=16)


def read_one(**changes: Any) -> Message:
    """The one message of ``GOOD`` with ``changes``."""
    (message,) = read(GOOD | changes)
    return message


def test_every_field_reaches_the_message() -> None:
    """A message alone is read field by field."""
    message = read_one(message_id="m1", sent_at=5, kind="button", quoted="m0", name="Ana")

    assert message == Message(
        instance="sales",
        user="u1",
        message_id="m1",
        text="hi",
        kind=Kind.BUTTON,
        sent_at=5,
        received_at=7,
        quoted="m0",
        name="Ana",
    )


def test_null_is_absent() -> None:
    """Encoders that write null for what is not there are understood."""
    message = read_one(message_id=None, sent_at=None, kind=None, media=None)

    assert message.message_id.startswith("api_")
    assert (message.sent_at, message.kind, message.media) == (None, Kind.TEXT, None)


def test_a_batch_may_mix_instances_and_users() -> None:
    """``messages`` are independent of each other and keep their order."""
    messages = read({"messages": [GOOD, GOOD | {"user": "u2"}, GOOD | {"instance": "b"}]})

    assert [(one.instance, one.user) for one in messages] == [
        ("sales", "u1"),
        ("sales", "u2"),
        ("b", "u1"),
    ]


def test_media_needs_no_text() -> None:
    """A photo without words is a message."""
    (message,) = read({"instance": "a", "user": "u", "media": {"url": "https://x/y.jpg"}})

    assert message.text == ""
    assert message.media == Media(url="https://x/y.jpg")


@pytest.mark.parametrize(
    "mime, kind",
    [
        ("image/png", Kind.IMAGE),
        ("audio/ogg; codecs=opus", Kind.AUDIO),
        ("video/mp4", Kind.VIDEO),
        ("application/pdf", Kind.DOCUMENT),
        (None, Kind.DOCUMENT),
    ],
)
def test_the_kind_of_media_is_taken_from_its_type(mime: str | None, kind: Kind) -> None:
    """Who sends media need not say its kind twice."""
    assert read_one(media={"mime": mime}).kind is kind


@pytest.mark.parametrize("size", [1, 2, 3, 15, 16])
def test_small_media_stays_inside(size: int) -> None:
    """Up to the limit the bytes travel with the message, with their size."""
    data = base64.b64encode(bytes(size)).decode()

    media = read_one(media={"data": data}).media

    assert media == Media(data=data, size_bytes=size)


@pytest.mark.parametrize("size", [17, 18, 19, 1000])
def test_large_media_is_cut_out(size: int) -> None:
    """No message is refused because of its media: the bytes go, the message stays."""
    data = base64.b64encode(bytes(size)).decode()

    media = read_one(media={"data": data, "id": "f1"}).media

    assert media == Media(id="f1", size_bytes=size, omitted=True)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda i: st.dictionaries(st.text(), i)))
def test_anything_else_is_refused_by_one_error(payload: Any) -> None:
    """Whatever JSON comes in, it is messages or one ``RequestRefused`` of 400."""
    statuses = set()
    try:
        read(payload)
    except RequestRefused as refused:
        statuses.add(refused.status)

    assert statuses <= {400}
