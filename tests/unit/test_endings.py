"""Endings as they stand among a conversation's ids: what is read of them, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.endings import Ending, decode_ending, in_order
from shared.keys import message_hash
from shared.model import EntryId

FIRST, LAST, REF = EntryId(1000, 0), EntryId(1001, 7), EntryId(9000, 3)


@pytest.mark.parametrize(
    "value, what, last, ended_at",
    [
        (b"si9000-3 ", "silent", FIRST, None),
        (b"mu9000-3 1001-7", "muted", LAST, None),
        (b"wi9000-3 1001-7", "with_human", LAST, None),
        (b"mi9000-3 ", "missing", FIRST, None),
        (b"de9000-3 1001-7", "dead", LAST, None),
        (b"an9000-3 1001-7", "answered", LAST, None),
        (b"se9000-3 1001-7 9500", "sent", LAST, 9500),
        (b"se9000-3  9500", "sent", FIRST, 9500),
        (b"ke9000-3  9500", "kept", FIRST, 9500),
        (b"di9000-3 1001-7 9500", "discarded", LAST, 9500),
    ],
)
def test_an_ending_says_what_became_of_which_messages(
    value: bytes, what: str, last: EntryId, ended_at: int | None
) -> None:
    """Of a window of one message, and of more; a reply's end has a time of its own."""
    assert decode_ending(b"1000-0", value) == Ending(
        first=FIRST, last=last, what=what, ref=REF, ended_at=ended_at
    )


@given(st.binary(max_size=40), st.binary(max_size=60))
@example(message_hash("m1"), b"1000-0")
@example(b"1000-0", b"zz9000-3 ")
@example(b"1000-0", b"si9000-3")
@example(b"1000-0", b"si9000-3 \n")
@example(b"1000-0", b"si9000-3 1001-7 9500 1")
@example(b"1000", b"si9000-3 ")
def test_nothing_else_is_taken_for_an_ending(field: bytes, value: bytes) -> None:
    """A message's id, a later version's ending, rubbish: none, and none of them raises."""
    assert decode_ending(field, value) is None


def test_the_newest_ending_of_a_window_counts() -> None:
    """It died, was replayed, was answered; and endings stand by their first entries."""
    died = Ending(first=FIRST, last=LAST, what="dead", ref=EntryId(2000, 0))
    answered = Ending(first=FIRST, last=LAST, what="answered", ref=EntryId(3000, 0))
    later = Ending(first=EntryId(1500, 0), last=EntryId(1500, 0), what="silent", ref=EntryId(1, 0))
    for endings in ([died, answered, later], [later, answered, died]):
        assert in_order(endings) == (answered, later)
