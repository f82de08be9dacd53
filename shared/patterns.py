r"""
Patterns that a message may match: commands that are handled alone, stop words that end a window.

    stop             the whole text; case and white space at its ends make no difference
    /order *         a star stands for anything, also for nothing
    kind:button      a message of that kind, whatever its text
    re:order #?\d+   a regular expression (RE2) for the whole text; case makes no difference

The text is what handlers get: a caption, a pressed button's title. It is a stranger's, and the loop
is everybody's: a text above ``TEXT_CHARS`` matches by its kind alone, stars are looked for from
left to right, and RE2 goes through a text once, whatever the expression. Pure.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import orjson

from shared.model import Kind, Message

PATTERNS_MAX = 100
"""In one list; each of them may be asked of each message."""

PATTERN_CHARS = 500

TEXT_CHARS = 1000
"""No command is longer; normalising takes quadratic time for some texts, 1 ms for so many."""

EXPRESSION_BYTES = 256 * 1024
"""What RE2 may take for one expression, which also bounds its work on a text to some ms."""

COMPILED_LISTS = 1000

MISSING = (
    "re: needs the package google-re2, which is not installed "
    f"({sys.executable} -m pip install google-re2)"
)

_ALL_STARS = re.compile(r"[*\s]*")
_AS_TYPED = str.maketrans({"’": "'", **dict.fromkeys("\u200b\u200e\u200f\ufe0f\ufeff")})
"""What keyboards make of an apostrophe, and what they put in that nobody sees."""


class Said(NamedTuple):
    """What a message says, as it is compared; None: its text is too long to match."""

    kind: Kind
    text: str | None
    plain: str


class _Expression(Protocol):
    def fullmatch(self, text: str) -> object | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Patterns:
    """A list of patterns. ``wildcards``: what stands before, between and behind the stars."""

    kinds: frozenset[Kind]
    words: frozenset[str]
    wildcards: tuple[tuple[str, ...], ...]
    expressions: tuple[_Expression, ...]

    def match(self, said: Said) -> bool:
        """Whether one of them is that message's."""
        if said.kind in self.kinds:
            return True
        if said.text is None:
            return False
        if said.plain in self.words:
            return True
        for parts in self.wildcards:
            if _fits(said.plain, parts):
                return True
        text = said.text
        return any(each.fullmatch(text) is not None for each in self.expressions)


def said_by(message: Message) -> Said:
    """The message, ready to be compared with any pattern."""
    text = message.text
    if len(text) > TEXT_CHARS:
        return Said(message.kind, None, "")
    return Said(message.kind, text.strip(), _plain(text))


@lru_cache(maxsize=COMPILED_LISTS)
def compile_patterns(written: tuple[str, ...]) -> Patterns | None:
    """
    Patterns that ``check_pattern`` has passed; None: there are none.

    Instances with the same list have the same ``Patterns``.
    """
    if not written:
        return None
    taken = [each.strip() for each in written]
    plain = [_plain(each) for each in taken if not each.startswith(("kind:", "re:"))]
    return Patterns(
        kinds=frozenset(_kind_of(each) for each in taken if each.startswith("kind:")),
        words=frozenset(each for each in plain if "*" not in each),
        wildcards=tuple(tuple(each.split("*")) for each in plain if "*" in each),
        expressions=tuple(_expression_of(each) for each in taken if each.startswith("re:")),
    )


def check_pattern(written: str) -> str:
    """
    A pattern as it was written.

    Raises:
        ValueError: it matches nothing, or everything, or cannot be read.
    """
    if len(written) > PATTERN_CHARS:
        raise ValueError(f"a pattern may have {PATTERN_CHARS} characters: {written[:20]}...")
    taken = written.strip()
    if taken.startswith("kind:"):
        _kind_of(taken)
    elif taken.startswith("re:"):
        _expression_of(taken)
    elif not _plain(taken):
        raise ValueError("an empty pattern matches nothing: leave it out")
    elif _ALL_STARS.fullmatch(taken):
        raise ValueError(f'{taken} matches every message: mode = "pass_through" does that')
    return written


def read_list(value: Any) -> Any:
    """
    Several patterns, or one alone; in the environment also a JSON list.

    Raises:
        ValueError: it begins like a list, and is none.
    """
    if not isinstance(value, str):
        return value
    if not value.startswith("["):
        return [value]
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise ValueError('begins with [ and is no list: write ["one", "two"]') from error


def _plain(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_AS_TYPED))
    return " ".join(text.casefold().split())


def _fits(text: str, parts: Sequence[str]) -> bool:
    first, *between, last = parts
    at, end = len(first), len(text) - len(last)
    if at > end or not (text.startswith(first) and text.endswith(last)):
        return False
    for part in between:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _kind_of(taken: str) -> Kind:
    name = taken.removeprefix("kind:").strip()
    if name not in list(Kind):
        raise ValueError(f"{taken}: no such kind; possible are {', '.join(Kind)}")
    return Kind(name)


def _expression_of(taken: str) -> _Expression:
    try:
        re2: Any = import_module("re2")
    except ImportError as error:
        raise ValueError(MISSING) from error
    options = re2.Options()
    options.case_sensitive = False
    options.dot_nl = True
    options.never_capture = True
    options.log_errors = False
    options.max_mem = EXPRESSION_BYTES
    try:
        compiled: _Expression = re2.compile(taken.removeprefix("re:").strip(), options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if error.args else "it cannot be read"
        raise ValueError(f"{taken}: no regular expression of RE2: {why}") from error
    return compiled
