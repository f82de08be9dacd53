"""
The JSON objects inside a text: pure, never raises, and in linear time.

Models put an object before, after or into their prose, where braces and quotes stand for
themselves as well. So every brace is tried as the beginning of an object, whether it seems to
stand in a string or not. What was read once is not read again: an object inside one that breaks
off has ended already, or breaks off at the same place. Only a brace that stood inside a string
begins anew, and from there all that was a string is none, so that no character is read by more
than two of these tries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

DEPTH_MAX = 64
"""What is nested deeper is no answer of a model's."""

_BLANK = r"[ \t\r\n]*+"
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SCALAR = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+|true|false|null"

_BEGIN = re.compile(r"\{(?=" + _BLANK + '")')
"""An empty object holds no reply: it is read past only where it stands inside another."""

_FIRST_NAME = re.compile(_BLANK + rf"(?:{_STRING}|\}})", re.DOTALL)
_NAME = re.compile(_BLANK + _STRING, re.DOTALL)
_COLON = re.compile(_BLANK + ":")
_FIRST_ITEM = re.compile(_BLANK + rf"(?:[{{\[\]]|{_STRING}|{_SCALAR})", re.DOTALL)
_VALUE = re.compile(_BLANK + rf"(?:[{{\[]|{_STRING}|{_SCALAR})", re.DOTALL)
_IN_OBJECT = re.compile(_BLANK + r"[,}]")
_IN_LIST = re.compile(_BLANK + r"[,\]]")

_LIST = -1
"""Stands for a list among the places where what is open began."""


class Found(NamedTuple):
    """An object, and where in the text it stands."""

    start: int
    end: int
    value: dict[str, Any]


def find_objects(text: str) -> list[Found]:
    """
    The complete objects in ``text`` that have a field, in their order, none inside another.

    A line break inside a string, which JSON forbids and models write, is taken as it is.
    """
    found = []
    for start, end in _spans(text):
        value = read_json_text(text[start:end])
        if isinstance(value, dict):
            found.append(Found(start, end, value))
    return found


def read_json_text(text: str) -> Any:
    """The value of a text that is JSON as a whole; None (which no answer is) for any other."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _spans(text: str) -> Iterator[tuple[int, int]]:
    ends: dict[int, int] = {}
    at = 0
    while (begin := _BEGIN.search(text, at)) is not None:
        start = begin.start()
        if start not in ends:
            _read_object(text, start, ends)
        at = ends[start]
        if at > start:
            yield start, at
        else:
            at = start + 1


def _read_object(text: str, start: int, ends: dict[int, int]) -> None:
    """
    Read from a brace on until its object ends, or cannot be one.

    ``ends`` learns where every object on the way ends; one that does not, at its own start.
    """
    is_open = [start]
    at, expected = start + 1, _FIRST_NAME
    while is_open:
        token = expected.match(text, at)
        if token is None or len(is_open) > DEPTH_MAX:
            ends.update((began, began) for began in is_open if began is not _LIST)
            return
        at = token.end()
        last = text[at - 1]
        if last == "{" and expected in (_VALUE, _FIRST_ITEM):
            is_open.append(at - 1)
            expected = _FIRST_NAME
        elif last == "[" and expected in (_VALUE, _FIRST_ITEM):
            is_open.append(_LIST)
            expected = _FIRST_ITEM
        elif last in "}]":
            began = is_open.pop()
            if began is not _LIST:
                ends[began] = at
            expected = _IN_LIST if is_open and is_open[-1] is _LIST else _IN_OBJECT
        elif expected in (_FIRST_NAME, _NAME):
            expected = _COLON
        elif expected is _COLON:
            expected = _VALUE
        elif last == ",":
            expected = _VALUE if is_open[-1] is _LIST else _NAME
        else:
            expected = _IN_LIST if is_open[-1] is _LIST else _IN_OBJECT
