"""What a handler remembers of a conversation."""

from __future__ import annotations

import pytest

from shared.handlers.history import Said, exchange, said_in, thread, thread_in
from shared.model import Memory


def items_of(*memories: Memory | None) -> list[bytes]:
    """What stands in Redis after these."""
    return [item for memory in memories if memory is not None for item in memory.items]


def test_an_exchange_is_two_texts() -> None:
    """What the window said and all that was answered."""
    memory = exchange("hi", ["yes", "come in"], 20, 1000)
    assert memory is not None
    assert (memory.keep, memory.keep_ms) == (20, 1000)
    assert said_in(memory.items, 20) == [
        Said(role="user", text="hi"),
        Said(role="assistant", text="yes\ncome in"),
    ]


@pytest.mark.parametrize(
    "keep, texts",
    [(0, []), (1, []), (2, ["q1", "a1"]), (3, ["q1", "a1"]), (9, ["q0", "a0", "q1", "a1"])],
)
def test_it_begins_with_the_user(keep: int, texts: list[str]) -> None:
    """An answer whose question is forgotten is forgotten, too."""
    items = items_of(exchange("q0", ["a0"], 20, 1), exchange("q1", ["a1"], 20, 1))
    assert [one.text for one in said_in(items, keep)] == texts


def test_items_of_others_are_passed_over() -> None:
    """Another kind of handler's, another version's and damaged ones do no harm."""
    strange = [b"", b"{", b"\xff", b"7", b'{"what":"later"}', b'{"what":"said","role":"x"}']
    items = [*strange, *items_of(thread("t-1", 1), exchange("q", ["a"], 20, 1)), *strange]
    assert [one.text for one in said_in(items, 20)] == ["q", "a"]
    assert thread_in(items) == "t-1"
    assert thread_in(strange) is None


def test_a_thread_takes_the_place_of_all() -> None:
    """An endpoint that remembers by itself needs one id, the last."""
    assert thread("t-1", 1000).keep == 1
    assert thread_in(items_of(thread("t-1", 1), thread("t-2", 1))) == "t-2"
