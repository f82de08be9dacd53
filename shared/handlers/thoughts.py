"""
What a model thought before it answered, where its server does not part it: pure, linear time.

Models write it between ``<think>`` and ``</think>``, agents anew before each of their steps. Some
versions of Dify make ``<details>`` of it, under a summary "Thinking...". Tags that are spoken of
in the middle of a line are no thoughts.
"""

from __future__ import annotations

import re

_TAG = r"<(think|thinking|thought)>"
_BOX = r"<(details)\b[^<>]{0,200}+>\s*+<summary>\s*+Thinking\.\.\.\s*+</summary>"
_FIRST = re.compile(rf"\s*+(?:{_TAG}|{_BOX})")
_LATER = re.compile(rf"^[ \t]*+{_TAG}|{_TAG}(?=[ \t]*+\n)|{_BOX}", re.MULTILINE)


def without_thoughts(text: str) -> str:
    """The text without the thoughts in it that have an end."""
    kept: list[str] = []
    at = 0
    while (begin := _FIRST.match(text, at) or _LATER.search(text, at)) is not None:
        closing = f"</{begin[begin.lastindex or 0]}>"
        end = text.find(closing, begin.end())
        if end < 0:
            break
        kept.append(text[at : begin.start()])
        at = end + len(closing)
    if not at:
        return text
    said = "".join((*kept, text[at:]))
    return said if kept[0].strip() else said.lstrip()


def is_cut_short(text: str) -> bool:
    """Whether a text, without its thoughts, begins with such as have no end: it says nothing."""
    return _FIRST.match(text) is not None


def spoken_part(text: str) -> str | None:
    """
    What a model's whole answer says; None: it ended before the thoughts did.

    Some templates open them in the prompt, so that only their end is there.
    """
    head, end, tail = text.partition("</think>")
    if end and "<think>" not in head:
        text = tail.lstrip()
    said = without_thoughts(text)
    return None if is_cut_short(said) else said
