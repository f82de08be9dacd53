"""The leaves of a provider's payload: whatever stands there is read, or counts as absent."""

from __future__ import annotations

from typing import Any

import pytest

from shared.providers.values import (
    ID_MAX_CHARS,
    hashed_id,
    identifier_of,
    is_true,
    lines,
    point,
    seconds_in_ms,
    web_url,
)


@pytest.mark.parametrize(
    "value, found",
    [
        ("wamid.A1", "wamid.A1"),
        (42, "42"),
        (0, "0"),
        ("  4915 ", "4915"),
        ("grüße-1", "grüße-1"),
        ("two words", "two words"),
        ("x" * ID_MAX_CHARS, "x" * ID_MAX_CHARS),
        ("x" * (ID_MAX_CHARS + 1), ""),
        ("a\0b", ""),
        ("a\nb", ""),
        ("é\x85b", ""),
        ("\ud800", ""),
        ("   ", ""),
        (None, ""),
        (True, ""),
        ({"id": 1}, ""),
        ([1], ""),
    ],
)
def test_an_id_is_a_text_or_a_number_that_can_be_one(value: Any, found: str) -> None:
    """Without control characters, and short: it becomes part of a key, of a log's hash."""
    assert identifier_of(value) == found


@pytest.mark.parametrize(
    "value, is_one",
    [
        ("https://files.example.org/a%20b.jpg?x=1", True),
        ("http://localhost:3000/a", True),
        ("HTTPS://files.example.org", True),
        ("//files.example.org/a", False),
        ("https://", False),
        ("https:///a.jpg", False),
        ("http://[broken", False),
        ("data:image/png;base64,AAAA", False),
        ("file:///etc/passwd", False),
        ("javascript:alert(1)", False),
        ("/a.jpg", False),
        (7, False),
        (None, False),
    ],
)
def test_an_address_is_one_that_a_handler_can_fetch(value: Any, is_one: bool) -> None:
    """Nothing but http and https, with a host."""
    assert (web_url(value) is not None) == is_one


@pytest.mark.parametrize("value", [True, "true", "TRUE", 1, "1", " true "])
def test_a_flag_is_read_generously(value: Any) -> None:
    """An echo that is taken for a message would make a bot talk to itself."""
    assert is_true(value)


@pytest.mark.parametrize("value", [False, None, 0, "", "false", [], {"a": 1}, "no"])
def test_what_is_no_flag_is_not_set(value: Any) -> None:
    """And a message that is taken for an echo would be lost."""
    assert not is_true(value)


def test_lines_are_what_is_said_each_on_its_own() -> None:
    """Blank values and such as are no text leave no empty line."""
    assert lines("a", "", None, " \n", 5, {}, "b ") == "a\n5\nb "


@pytest.mark.parametrize(
    "place, found",
    [
        ({"lat": 0, "long": -1.5}, "0,-1.5"),
        ({"lat": " 48.1 ", "long": "11"}, "48.1,11"),
        ({"lat": 48.1}, ""),
        ({"lat": True, "long": []}, ""),
        ({}, ""),
    ],
)
def test_a_point_is_both_of_its_numbers(place: dict[str, Any], found: str) -> None:
    """Half a place is none; zero is a number."""
    assert point(place, "lat", "long") == found


@pytest.mark.parametrize(
    "seconds, at",
    [(1.5, 1500), (1_760_000_000, 1_760_000_000_000), (0, None), (-1, None), (10**11, None)],
)
def test_seconds_that_cannot_be_a_time_are_none(seconds: float, at: int | None) -> None:
    """A time in ms where seconds belong would put a message thousands of years ahead."""
    assert seconds_in_ms(seconds) == at
    assert seconds_in_ms(None) is None
    assert seconds_in_ms(float("nan")) is None


def test_what_has_no_id_is_known_by_what_it_says() -> None:
    """In whatever order its members come; anything else in it is another."""
    assert hashed_id({"a": 1, "b": [{"c": 2, "d": None}]}) == hashed_id(
        {"b": [{"d": None, "c": 2}], "a": 1}
    )
    assert hashed_id({"a": 1}) != hashed_id({"a": "1"})
