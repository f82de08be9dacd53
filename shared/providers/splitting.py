"""
Long texts, cut into what a provider takes: at a paragraph, else a line, a sentence, a word.

Providers count in UTF-16 units, or say "characters" and mean either; units are never fewer. Some
count bytes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

_BREAKS = (
    ("\n\n",),
    ("\n",),
    (". ", "! ", "? ", "… ", "。", "！", "？", "؟ ", "۔ "),
    (" ",),
)

_JOINER = "\u200d"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_TAGS = range(0xE0020, 0xE0080)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
"""Two of them are one flag."""

_JOINED_MAX = 64
"""So far back a hard cut moves: the longest emoji has a dozen characters."""


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
    ``units_of`` counts otherwise: at least one for a character, and what adds up over them.
    """
    text = text.strip()
    parts: list[str] = []
    at = 0
    while at < len(text):
        head = text[at : at + max_units + 2]
        end = _end_of_part(head, max_units, units_of)
        parts.append(head[:end].rstrip())
        at += end
        while at < len(text) and text[at].isspace():
            at += 1
    return parts


def _end_of_part(text: str, max_units: int, units_of: Callable[[str], int]) -> int:
    """Where the first part ends: behind the last break that leaves it at least half full."""
    fits = _fitting(text, max_units, units_of)
    if fits == len(text):
        return fits
    for marks in _BREAKS:
        ends = [_end_behind(text, mark, fits) for mark in marks]
        if (end := max(ends)) > fits // 2:
            return end
    return _behind_whole_character(text, fits)


def _end_behind(text: str, mark: str, fits: int) -> int:
    at = text.rfind(mark, 0, fits + len(mark) - len(mark.rstrip()))
    return -1 if at < 0 else at + len(mark.rstrip())


def _fitting(text: str, max_units: int, units_of: Callable[[str], int]) -> int:
    """How many characters fit; at least one."""
    units = 0
    for index, char in enumerate(text):
        units += units_of(char)
        if units > max_units:
            return max(index, 1)
    return len(text)


def _behind_whole_character(text: str, fits: int) -> int:
    """The last place up to ``fits`` that tears nothing that is seen as one; else ``fits``."""
    for end in range(fits, max(fits - _JOINED_MAX, 0), -1):
        if not _is_joined(text, end):
            return end
    return fits


def _is_joined(text: str, at: int) -> bool:
    """Whether the character at ``at`` belongs to the one before it."""
    before, char = text[at - 1], text[at]
    code = ord(char)
    if _JOINER in (before, char) or code in _SKIN_TONES or code in _TAGS:
        return True
    if code in _FLAG_LETTERS:
        letters = at
        while letters and ord(text[letters - 1]) in _FLAG_LETTERS:
            letters -= 1
        return (at - letters) % 2 == 1
    return unicodedata.category(char) in ("Mn", "Me", "Mc")
