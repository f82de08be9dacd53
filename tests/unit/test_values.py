"""The leaves of a provider's payload: whatever stands there is read, or counts as absent."""

from __future__ import annotations

from typing import Any

import pytest

from shared.providers.values import ID_MAX_CHARS, identifier_of, web_url


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
