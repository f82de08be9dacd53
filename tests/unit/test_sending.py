"""What is left of a reply, whatever has been counted of it before."""

from __future__ import annotations

from typing import Any

import pytest

from consumer.outbox import Progress
from consumer.sending import left_of
from shared.channel import address_of
from shared.model import EntryId, window_id
from shared.providers.evolution import Evolution
from shared.wire import OutboxReply


class Short(Evolution):
    """A provider that takes few characters."""

    text_max = 8


def reply(*texts: str) -> OutboxReply:
    """One that waits in the outbox."""
    return OutboxReply(
        window_id=window_id("shop", "ann", EntryId(1, 0)),
        instance="shop",
        user="ann",
        texts=texts,
        provider="evolution",
        reply_to=None,
        message_ids=(),
    )


REPLY = reply("hi", "one two three four", "bye")
WHOLE = [
    ("hi", (0, 0), (1, 0)),
    ("one two", (1, 0), (1, 1)),
    ("three", (1, 1), (1, 2)),
    ("four", (1, 2), (2, 0)),
    ("bye", (2, 0), (3, 0)),
]


def left(of: OutboxReply, texts: int = 0, parts: int = 0) -> list[tuple[str, Any, Any]]:
    """What is left of it, for a provider that takes few characters."""
    return list(left_of(of, Progress(texts, parts), Short(), address_of(of)))


def test_each_part_says_what_has_left_with_it() -> None:
    """Whole texts, and parts of the one at hand."""
    assert left(REPLY) == WHOLE


@pytest.mark.parametrize("at", range(len(WHOLE)))
def test_sending_goes_on_behind_any_part(at: int) -> None:
    """Nothing is lost and nothing doubled, wherever it was cut off."""
    assert left(REPLY, *WHOLE[at][2]) == WHOLE[at + 1 :]


@pytest.mark.parametrize("parts", [3, 9])
def test_a_text_that_has_fewer_parts_than_were_counted_is_over(parts: int) -> None:
    """Another version may cut elsewhere: what follows is still sent."""
    assert [part for part, _, _ in left(REPLY, 1, parts)] == ["bye"]


def test_blank_texts_are_no_parts() -> None:
    """No provider takes one, and the count of whole texts passes over it."""
    assert left(reply("", "hi", "  ")) == [("hi", (1, 0), (2, 0))]
    assert left(reply("hi", "", "bye"), 1) == [("bye", (2, 0), (3, 0))]
