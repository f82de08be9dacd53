"""What Meta's providers read alike: times, ids, batches."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import RequestRefused
from shared.model import Message
from shared.providers import Echo, Parsed
from shared.providers.meta import (
    Gathered,
    count_of,
    entries_of,
    id_of,
    moment_ms,
    name_of,
    objects_in,
)


@pytest.mark.parametrize(
    "value, at",
    [
        ("1789000001", 1_789_000_001_000),
        (1_789_000_001, 1_789_000_001_000),
        (1_789_000_001_250, 1_789_000_001_250),
        ("1789000001250", 1_789_000_001_250),
        (1_789_000_001.75, 1_789_000_001_000),
        ("2026-09-10T00:26:41+0000", 1_789_000_001_000),
        ("2026-09-10T02:26:41+02:00", 1_789_000_001_000),
        ("2026-09-10T00:26:41Z", 1_789_000_001_000),
    ],
)
def test_times_are_read_in_every_spelling(value: Any, at: int) -> None:
    """Seconds, ms, digits, ISO 8601: all of them stand in Meta's payloads."""
    assert moment_ms(value) == at


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -5,
        "",
        "soon",
        "2026-09-10T00:26:41",
        "0001-01-01T00:00:00+14:00",
        "9" * 16,
        10**40,
        float("nan"),
        [1],
        {},
    ],
)
def test_what_is_no_time_is_none(value: Any) -> None:
    """Then the time of arrival orders the message."""
    assert moment_ms(value) is None


def test_an_id_is_the_providers_own() -> None:
    """Numbers are ids, too."""
    assert id_of("wamid.A", {}) == "wamid.A"
    assert id_of(815, {}) == "815"


@pytest.mark.parametrize("value", [None, "", "  ", [], {"a": 1}, True, "x" * 513])
def test_an_item_without_an_id_gets_one_of_its_own(value: Any) -> None:
    """The same item has the same id when it comes again, in whatever order its members stand."""
    made = id_of(value, {"timestamp": "5", "text": {"body": "é\ud800"}})

    assert made == id_of(None, {"text": {"body": "é\ud800"}, "timestamp": "5"})
    assert made.startswith("item:")
    assert made != id_of(None, {"timestamp": "6", "text": {"body": "é\ud800"}})
    assert id_of(None, {}, "postback").startswith("postback:")


@pytest.mark.parametrize("value", [None, "", " ", "a\x00b", "a\nb", "x" * 257, [], {}, True])
def test_what_names_nobody(value: Any) -> None:
    """Users become part of keys and answers: blank, endless and invisible ones are none."""
    assert name_of(value) is None


def test_a_name_is_trimmed() -> None:
    """Ids may be numbers."""
    assert (name_of(" 77 "), name_of(77)) == ("77", "77")


@pytest.mark.parametrize("payload", [None, [], "text", 5, {}, {"entry": {}}, {"entry": None}])
def test_another_body_is_refused(payload: Any) -> None:
    """What is not Meta's envelope is 400: who configures another service sees it at once."""
    with pytest.raises(RequestRefused) as refused:
        entries_of(payload)
    assert refused.value.status == 400


def test_damaged_members_of_a_list_are_counted() -> None:
    """The sound ones are read all the same; a list that is none counts as one item."""
    gathered = Gathered()
    assert list(objects_in([{"a": 1}, 5, None, {"b": 2}], gathered)) == [{"a": 1}, {"b": 2}]
    assert list(objects_in("text", gathered)) == []
    assert list(objects_in(None, gathered)) == []
    assert list(objects_in({"c": 3}, gathered)) == [{"c": 3}]
    assert gathered.parsed().ignored == {"malformed": 3}
    assert (count_of(None), count_of([1, 2]), count_of({}), count_of(0)) == (0, 2, 1, 1)


def test_what_comes_twice_in_a_batch_counts_once() -> None:
    """By conversation and id; the same id of another user is another message."""
    message = Message(instance="a", user="u", message_id="1", text="first", received_at=1)
    again = Message(instance="a", user="u", message_id="1", text="second", received_at=1)
    other = Message(instance="a", user="v", message_id="1", received_at=1)
    echo = Echo(instance="a", user="u", message_id="2")
    gathered = Gathered()
    for found in (message, again, other, echo, echo, "receipt", "receipt"):
        gathered.add(found)
    assert gathered.parsed() == Parsed(
        messages=(message, other), echoes=(echo,), ignored={"receipt": 2, "duplicate": 2}
    )
