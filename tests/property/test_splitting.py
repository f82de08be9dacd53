"""However a text is made, its parts fit, hold every character in order, and are always the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.providers.splitting import split_text, utf16_units_of

PIECES = st.sampled_from(
    [
        " ",
        "\n",
        "\n\n",
        ". ",
        "a",
        "word",
        "é",
        "e\u0301",
        "\u200d",
        "😀",
        "👨\u200d👩\u200d👧",
        "🇧🇷",
        "漢。",
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=200).map("".join))


def without_spaces(text: str) -> str:
    """What must arrive."""
    return "".join(text.split())


@given(TEXTS, st.integers(min_value=2, max_value=300))
def test_parts_hold_everything_and_fit(text: str, limit: int) -> None:
    """No word is lost, none is doubled, no part is blank or longer than the provider takes."""
    parts = split_text(text, limit)
    assert without_spaces("".join(parts)) == without_spaces(text)
    assert all(part.strip() and utf16_units_of(part) <= limit for part in parts)
    assert split_text(text, limit) == parts


@given(st.lists(st.text("abcé", min_size=1, max_size=20)), st.integers(min_value=42, max_value=300))
def test_words_that_fit_are_not_cut(words: list[str], limit: int) -> None:
    """Where each word takes less than half a part, every part ends behind one."""
    text = " ".join(words)
    assert " ".join(split_text(text, limit)) == text
