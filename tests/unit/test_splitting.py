"""A long text leaves in parts that the provider takes, cut where a reader would."""

from __future__ import annotations

import pytest

from shared.providers.splitting import split_text, utf8_bytes_of, utf16_units_of

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
WAVE = "\U0001f44b\U0001f3fd"
FLAG = "\U0001f1e7\U0001f1f7"
SCOTLAND = "\U0001f3f4" + "".join(chr(0xE0000 + ord(char)) for char in "gbsct") + "\U000e007f"
KEYCAP = "1\ufe0f\u20e3"


def test_a_text_that_fits_is_one_part() -> None:
    """To the last unit."""
    assert split_text("a" * 10, 10) == ["a" * 10]
    assert split_text("  hello \n", 10) == ["hello"]


@pytest.mark.parametrize("blank", ["", "   ", "\n\n\t"])
def test_nothing_is_no_part(blank: str) -> None:
    """No provider takes an empty text."""
    assert split_text(blank, 10) == []


@pytest.mark.parametrize(
    "text, parts",
    [
        ("one two three.\n\nfour\nfive", ["one two three.", "four\nfive"]),
        ("one two three\nfour five six", ["one two three", "four five six"]),
        ("We close at six. Come early!", ["We close at six.", "Come early!"]),
        ("one two three four five six", ["one two three four", "five six"]),
    ],
)
def test_the_cut_is_at_the_largest_break(text: str, parts: list[str]) -> None:
    """A paragraph, else a line, else a sentence, else a word."""
    assert split_text(text, 21) == parts


def test_a_break_that_leaves_a_part_less_than_half_full_is_passed_over() -> None:
    """Else one short paragraph after the other would be a message of its own."""
    assert split_text("Hi.\n\n" + "word " * 10, 22)[0] == "Hi.\n\nword word word"


def test_one_long_word_is_cut_hard() -> None:
    """A word of 10,000 characters, too, loses none of them."""
    word = "".join(chr(97 + at % 26) for at in range(10_000))
    parts = split_text(word, 4096)
    assert [len(part) for part in parts] == [4096, 4096, 1808]
    assert "".join(parts) == word


def test_text_from_right_to_left_is_cut_by_its_own_marks() -> None:
    """In the order in which it is stored, at an Arabic question mark and at a Hebrew word."""
    assert split_text("هل أنتم مفتوحون؟ نعم حتى السادسة", 25) == [
        "هل أنتم مفتوحون؟",
        "نعم حتى السادسة",
    ]
    assert split_text("שלום לכולם מכאן", 12) == ["שלום לכולם", "מכאן"]


def test_text_without_spaces_is_cut_behind_its_sentences() -> None:
    """Japanese has none."""
    assert split_text("六時まで営業します。明日は休みです。", 12) == [
        "六時まで営業します。",
        "明日は休みです。",
    ]


@pytest.mark.parametrize(
    "seen_as_one", [FAMILY, WAVE, FLAG, SCOTLAND, KEYCAP, "e\u0301", "\u0915\u093f"]
)
def test_what_is_seen_as_one_character_is_not_torn(seen_as_one: str) -> None:
    """Wherever the limit falls: each part holds whole ones."""
    for limit in range(utf16_units_of(seen_as_one), 5 * utf16_units_of(seen_as_one)):
        parts = split_text(seen_as_one * 20, limit)
        assert "".join(parts) == seen_as_one * 20
        assert all(part == seen_as_one * (len(part) // len(seen_as_one)) for part in parts)
        assert all(utf16_units_of(part) <= limit for part in parts)


def test_what_is_longer_than_a_part_is_torn() -> None:
    """A letter under a thousand accents ends no loop, and nothing of it is lost."""
    text = "e" + "\u0301" * 1000
    parts = split_text(text, 100)
    assert "".join(parts) == text
    assert all(len(part) <= 100 for part in parts)


def test_units_are_those_of_utf_16() -> None:
    """An emoji counts two, as the providers count it."""
    assert utf16_units_of("aé漢😀") == 5
    assert split_text("😀" * 6, 4) == ["😀😀"] * 3


def test_a_provider_may_count_bytes() -> None:
    """Each part takes as many at most."""
    parts = split_text("é" * 50 + " " + "漢" * 10, 30, utf8_bytes_of)
    assert all(utf8_bytes_of(part) <= 30 for part in parts)
    assert "".join(parts).replace(" ", "") == "é" * 50 + "漢" * 10
