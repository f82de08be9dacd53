"""
``answer_path``: where in a JSON answer the reply stands, such as ``data.outputs.text``.

Steps are parted by dots. A number is an index where the value is a list (``-1``: its last), and a
name where it is an object; ``choices[0].text`` is ``choices.0.text``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

STEPS_MAX = 32

_INDEX = re.compile(r"-?[0-9]{1,9}")
_BRACKETS = re.compile(r"\[(-?[0-9]{1,9})\]")

NOTHING = object()
"""Instead of a value: the path leads nowhere."""

AnswerPath = tuple[str, ...]


def parse_answer_path(text: str) -> AnswerPath:
    """
    The path's steps.

    Raises:
        ValueError: it is not of that form.
    """
    steps = tuple(_BRACKETS.sub(r".\1", text).removeprefix(".").split("."))
    if len(steps) > STEPS_MAX or any(not step or set(step) & set("[]") for step in steps):
        raise ValueError("not a path of the form data.outputs.text or choices.0.text")
    return steps


def follow_path(answer: Any, path: AnswerPath) -> Any:
    """The value at the end of the path, or ``NOTHING``."""
    value = answer
    for step in path:
        if isinstance(value, Mapping):
            value = value.get(step, NOTHING)
        elif isinstance(value, list | tuple) and _INDEX.fullmatch(step):
            index = int(step)
            is_there = -len(value) <= index < len(value)
            value = value[index] if is_there else NOTHING
        else:
            return NOTHING
    return value


def starts_with_index(path: AnswerPath) -> bool:
    """Whether the answer it is meant for may be a list as a whole."""
    return _INDEX.fullmatch(path[0]) is not None
