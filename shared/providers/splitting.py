"""
Long texts, cut into what a provider takes: at a paragraph, else a line, a sentence, a word.

Providers count in UTF-16 units, or say "characters" and mean either; units are never fewer. Some
count bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

_BREAKS = (
    ("\n\n",),
    ("\n",),
    (". ", "! ", "? ", "… ", "。", "！", "？", "؟ ", "۔ "),
    (" ",),
)


def utf16_units_of(text: str) -> int:
    """How many UTF-16 units a text takes: characters beyond the first 65,536 take two."""
    return len(text) + sum(char > "\uffff" for char in text)


def utf8_bytes_of(text: str) -> int:
    """How many bytes a text takes."""
    return len(text.encode("utf-8", "surrogatepass"))


def split_text(
    text: str, max_units: int, units_of: Callable[[str], int] = utf16_units_of
) -> Sequence[str]:
    """
    Parts of at most ``max_units`` UTF-16 units, none of them blank; joined they hold every word.

    The same parts for the same text, always: the sender counts how many of them have left.
    ``units_of`` counts otherwise; what it counts must add up over characters.
    """
    parts: list[str] = []
    rest = text.strip()
    while units_of(rest) > max_units:
        end = _end_of_part(rest, max_units, units_of)
        parts.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    if rest:
        parts.append(rest)
    return parts


def _end_of_part(text: str, max_units: int, units_of: Callable[[str], int]) -> int:
    """Where the first part ends: behind the last break that leaves it at least half full."""
    fits = _fitting(text, max_units, units_of)
    for marks in _BREAKS:
        ends = [_end_behind(text, mark, fits) for mark in marks]
        if (end := max(ends)) > fits // 2:
            return end
    return fits


def _end_behind(text: str, mark: str, fits: int) -> int:
    at = text.rfind(mark, 0, fits + len(mark) - len(mark.rstrip()))
    return -1 if at < 0 else at + len(mark.rstrip())


def _fitting(text: str, max_units: int, units_of: Callable[[str], int]) -> int:
    """How many characters fit; at least one, and no combined character is cut if that can be."""
    units = 0
    for index, char in enumerate(text):
        units += units_of(char)
        if units > max_units:
            return max(index, 1)
    return len(text)
