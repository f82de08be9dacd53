"""How deep and how many JSON values may be, and how large a body of which route."""

from __future__ import annotations

import pytest

from ingest.body import body_limit
from shared.errors import RequestRefused
from shared.payload import JSON_DEPTH_MAX, JSON_VALUES_MAX, parse_json
from shared.settings import MiB, Settings


def nested(depth: int, wide: int = 0) -> bytes:
    """A list ``depth`` deep, with ``wide`` empty lists beside it in its outermost list."""
    return b"[" + b"[]," * wide + b"[" * (depth - 1) + b"]" * (depth - 1) + b"]"


@pytest.mark.parametrize("wide", [0, 100])
def test_json_up_to_the_depth_is_read(wide: int) -> None:
    """The limit itself is allowed, in narrow and in wide values."""
    assert parse_json(nested(JSON_DEPTH_MAX, wide))


@pytest.mark.parametrize("wide", [0, 100])
@pytest.mark.parametrize("depth", [JSON_DEPTH_MAX + 1, 500, 1024, 100_000])
def test_json_beyond_the_depth_is_refused(depth: int, wide: int) -> None:
    """One level more is 400, and so is what the parser itself gives up on."""
    with pytest.raises(RequestRefused) as refused:
        parse_json(nested(depth, wide))

    assert (refused.value.status, refused.value.code) == (400, "json_too_deep")


def test_brackets_in_texts_nest_nothing() -> None:
    """A text full of brackets is flat."""
    assert parse_json(b'{"text": "' + b"[" * 5000 + b'"}')


def test_objects_nest_as_lists_do() -> None:
    """Depth counts both kinds of containers."""
    with pytest.raises(RequestRefused, match="nests deeper"):
        parse_json(b'{"a": [' * 40 + b"1" + b"]}" * 40)


@pytest.mark.parametrize(
    "written, read",
    [
        (rb"Ana \ud83d", "Ana \ufffd"),
        (rb"\uDE00 Ana", "\ufffd Ana"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\ud83d\u0041", "\ufffdA"),
        (rb"\\ud83d \ud83d", "\\ud83d \ufffd"),
    ],
)
def test_half_an_emoji_costs_no_message(written: bytes, read: str) -> None:
    """JavaScript cuts names through an emoji, and writes the half that is left."""
    assert parse_json(b'{"name": "' + written + b'"}') == {"name": read}


def test_json_of_too_many_values_is_refused() -> None:
    """A million values are read, one more is 400, however few bytes each of them has."""
    assert len(parse_json(b"[" + b"1," * (JSON_VALUES_MAX - 1) + b"1]")) == JSON_VALUES_MAX
    for value in (b"1", b"[]"):
        with pytest.raises(RequestRefused) as refused:
            parse_json(b"[" + (value + b",") * JSON_VALUES_MAX + b"1]")
        assert (refused.value.status, refused.value.code) == (400, "json_too_large")


@pytest.mark.parametrize("inline_media, limit", [(True, 64 * MiB), (False, 3 * MiB)])
def test_the_limit_is_the_routes(inline_media: bool, limit: int) -> None:
    """Only where media comes inline a body may be large."""
    assert body_limit(Settings(), inline_media=inline_media) == limit
    assert body_limit(Settings(body_max_bytes=5000), inline_media=inline_media) == 5000
