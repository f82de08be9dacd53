"""What an answer holds besides its reply is kept within bounds, and never stops the reply."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.handlers.metadata import METADATA_MAX_BYTES, bounded_metadata
from shared.handlers.replies import read_json
from shared.model import Reply, WindowId
from shared.wire import OutboxReply, decode_reply, encode_reply


def nested(depth: int) -> Any:
    """A list in a list, and so on."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


circle: list[Any] = []
circle.append(circle)

LEFT_OUT = [
    "x" * METADATA_MAX_BYTES,
    nested(33),
    nested(5000),
    circle,
    float("nan"),
    10**5000,
    object(),
    b"bytes",
    {(1, 2): 3},
]


@pytest.mark.parametrize("value", LEFT_OUT, ids=[str(number) for number in range(len(LEFT_OUT))])
def test_a_field_that_cannot_be_kept_is_left_out(value: Any) -> None:
    """The reply goes out, with the fields beside the one that is too large, too deep or no JSON."""
    answer = read_json({"reply": "hi", "a": 1, "b": value, "c": [nested(20)]})
    assert answer == Reply(texts=("hi",), metadata={"a": 1, "c": [nested(20)]})


def test_metadata_has_a_largest_size() -> None:
    """Fields are kept in their order as far as they fit, and a small one behind a large one."""
    kept = bounded_metadata({"a": "x" * 9000, "b": "x" * 9000, "c": 1})
    assert list(kept) == ["a", "c"]
    many = bounded_metadata({f"f{number}": number for number in range(100_000)})
    assert len(orjson.dumps(many)) <= METADATA_MAX_BYTES


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), VALUES))
def test_what_is_kept_can_be_written_and_read(fields: dict[str, Any]) -> None:
    """Whatever a handler gives can stand in the outbox, and comes out of it as it was kept."""
    metadata = bounded_metadata(fields)
    reply = OutboxReply(
        window_id=WindowId("w"),
        instance="shop",
        user="u",
        texts=("hi",),
        provider=None,
        reply_to=None,
        message_ids=(),
        metadata=metadata,
    )
    assert decode_reply(encode_reply(reply)).metadata == metadata
