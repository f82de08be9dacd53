"""
What is to be said, of a JSON value or a text that a handler gave back: pure.

A text may itself hold a JSON object, and its field a text that holds one again; both are read
by the same rules, down to ``DEPTH_MAX``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from shared.handlers.embedded_json import find_objects, read_json_text
from shared.handlers.prose import prose_around, say_once, without_fence
from shared.handlers.thoughts import without_thoughts

REPLY_FIELDS = ("reply", "replies", "answer", "response", "output", "text")
"""Where a JSON object may hold its texts; the first one that has any gives them."""

DEPTH_MAX = 8


class Said(NamedTuple):
    """Texts, of which some may be blank, and the fields that stood beside them."""

    texts: tuple[str, ...]
    metadata: dict[str, Any]


class WrongType(ValueError):
    """A field of the contract holds what it must not; the message names field and type alone."""


def said_in_object(answer: Mapping[Any, Any], depth: int = 0) -> Said | None:
    """
    What an object's first reply field with a text says; None: none of its fields is one.

    Raises:
        WrongType: ``reply`` holds no text, or ``replies`` no list of them.
    """
    blank: Said | None = None
    for name in REPLY_FIELDS:
        if name not in answer:
            continue
        said = _said_in_field(name, answer[name], depth)
        if said is None:
            continue
        others = {str(key): value for key, value in answer.items() if key != name}
        said = Said(said.texts, others | said.metadata)
        if any(text.strip() for text in said.texts):
            return said
        blank = blank or said
    return blank


def said_in_value(value: Any, depth: int = 0) -> Said | None:
    """
    What a value says that stands where a reply is expected: a text, an object, or a list of them.

    None: it is none of these, or an object without a reply field.

    Raises:
        WrongType: as ``said_in_object``.
    """
    if value is None:
        return Said((), {})
    if isinstance(value, str):
        return said_in_text(value, depth)
    if depth >= DEPTH_MAX:
        return None
    if isinstance(value, Mapping):
        return said_in_object(value, depth + 1)
    if isinstance(value, list | tuple):
        return together(said_in_value(item, depth + 1) for item in value)
    return None


def said_in_elements(values: Sequence[Any], depth: int = 0) -> Said | None:
    """
    What a list's objects say, in their order; a text among them is no reply by itself.

    None: none of them has a reply field.

    Raises:
        WrongType: as ``said_in_object``.
    """
    return together(said_in_object(one, depth) for one in values if isinstance(one, Mapping))


def together(said: Iterable[Said | None]) -> Said | None:
    """All of them as one, in their order; None: there are none."""
    texts: list[str] = []
    metadata: dict[str, Any] = {}
    is_any = False
    for one in said:
        if one is not None:
            is_any = True
            texts += one.texts
            metadata |= one.metadata
    return Said(tuple(texts), metadata) if is_any else None


def said_in_text(text: str, depth: int = 0) -> Said:
    """
    A text as a person is to read it.

    A JSON object in it that has a reply field gives that field's text, the last one if there are
    several, and the prose around it stays as far as it says something else. Every other text
    stays as it is: broken JSON, JSON without such a field, braces in prose. Thoughts go first, for
    they may hold JSON, too.
    """
    text = without_thoughts(text)
    as_it_is = Said((text,), {})
    if "{" not in text or depth >= DEPTH_MAX:
        return as_it_is
    listed = _said_in_list(without_fence(text), depth)
    if listed is not None:
        return listed
    replies = []
    for found in find_objects(text):
        said = _said_in_found(found.value, depth)
        if said is not None:
            replies.append((found, said))
    if not replies:
        return as_it_is
    *before, after = prose_around(text, [(found.start, found.end) for found, _ in replies])
    texts, metadata = replies[-1][1]
    return Said(say_once(before, texts, [after]), metadata)


def _said_in_found(value: Mapping[str, Any], depth: int) -> Said | None:
    try:
        return said_in_object(value, depth + 1)
    except WrongType:
        return None


def _said_in_list(text: str, depth: int) -> Said | None:
    """What a text says that is a JSON list as a whole, if every element has a reply field."""
    values = read_json_text(text) if text.lstrip().startswith("[") else None
    if not isinstance(values, list):
        return None
    said = [_said_in_found(one, depth) if isinstance(one, dict) else None for one in values]
    return None if None in said else together(said)


def _said_in_field(name: str, value: Any, depth: int) -> Said | None:
    if name == "reply" and not isinstance(value, str | None):
        raise WrongType(f"reply must be a text, not {type(value).__name__}")
    if name != "replies" or value is None:
        return said_in_value(value, depth)
    if not isinstance(value, list | tuple):
        raise WrongType(f"replies must be a list of texts, not {type(value).__name__}")
    said = [said_in_value(item, depth + 1) for item in value]
    for item, one in zip(value, said, strict=True):
        if one is None:
            raise WrongType(f"replies must hold texts only, not {type(item).__name__}")
    return together(said) or Said((), {})
