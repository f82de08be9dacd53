"""What a handler remembers of a conversation."""

from __future__ import annotations

import pytest

from shared.handlers.history import (
    Exchange,
    exchanges_in,
    remember_exchange,
    remember_thread,
    thread_in,
)
from shared.model import Memory


def items_of(*memories: Memory | None) -> list[bytes]:
    """What stands in Redis after these."""
    return [memory.item for memory in memories if memory is not None]


def test_an_exchange_is_all_that_was_said_and_answered() -> None:
    """Several texts are one answer."""
    memory = remember_exchange("hi", ["yes", "come in"], 20, 1000)
    assert memory is not None
    assert (memory.keep, memory.keep_ms) == (10, 1000)
    assert exchanges_in([memory.item], 20) == [Exchange(said="hi", answered="yes\ncome in")]


@pytest.mark.parametrize(
    "messages, texts",
    [(0, []), (1, []), (2, ["q1"]), (3, ["q1"]), (4, ["q0", "q1"]), (9, ["q0", "q1"])],
)
def test_messages_are_counted_on_both_sides(messages: int, texts: list[str]) -> None:
    """An answer is not told without its question."""
    written = [remember_exchange(f"q{number}", ["a"], 20, 1) for number in range(2)]
    assert [one.said for one in exchanges_in(items_of(*written), messages)] == texts
    assert (remember_exchange("q", ["a"], messages, 1) is None) == (messages < 2)


def test_items_of_others_are_passed_over() -> None:
    """Another kind of handler's, another version's and damaged ones do no harm."""
    strange = [b"", b"{", b"\xff", b"7", b'{"what":"later"}', b'{"what":"exchange","said":1}']
    ours = items_of(remember_thread("t-1", 1), remember_exchange("q", ["a"], 20, 1))
    items = [*strange, *ours, *strange]
    assert [one.said for one in exchanges_in(items, 20)] == ["q"]
    assert thread_in(items) == "t-1"
    assert thread_in(strange) is None


def test_a_thread_takes_the_place_of_all() -> None:
    """An endpoint that remembers by itself needs one id, the last."""
    assert remember_thread("t-1", 1000).keep == 1
    assert thread_in(items_of(remember_thread("t-1", 1), remember_thread("t-2", 1))) == "t-2"
