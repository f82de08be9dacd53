"""
What stays of a text that says its answer in a JSON object: pure.

Around the object stands prose. A model often says the same there, so each run of prose is compared
with the answer word by word: nothing is said twice, and nothing that is said only there is lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

RUNS_MAX = 16
"""Runs before the answer that are compared with it by themselves; older ones are one run."""

_SEPARATORS = re.compile(
    r"[\s!-/:-@\[-`{-~¡¿«»·‐-―‘-„†-…‹›"
    r"،؛؟٪-٭۔।॥、。「-】！（），．：；？"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+"
)
"""Blanks, punctuation, markup and marks of direction: what may differ where the same is said."""

_OPENING_FENCE = re.compile(r"(?:`{3,}|~{3,})[ \t]*[\w+.-]{0,30}\s*\Z|`\Z")
_CLOSING_FENCE = re.compile(r"\s*?(?:`{3,}|~{3,})[ \t]*|`")
_FENCED = re.compile(
    r"\s*+(?P<fence>`{3,}+|~{3,}+)[^\n]*+\n(?P<inside>.*)\n[ \t]*(?P=fence)\s*+", re.DOTALL
)
_FENCE_CHARS = 200
"""How far before an object its fence is looked for."""


def without_fence(text: str) -> str:
    """What stands in a code fence, of a text that is one as a whole; any other text as it is."""
    fenced = _FENCED.fullmatch(text)
    return fenced["inside"] if fenced else text


def prose_around(text: str, objects: Sequence[tuple[int, int]]) -> list[str]:
    """
    The text before, between and after the objects at these places, without their code fences.

    One run more than there are objects; blanks are kept, for they tell how to put it together.
    """
    runs, at, is_fenced = [], 0, False
    for start, end in (*objects, (len(text), len(text))):
        run = text[at:start]
        if is_fenced and (closing := _CLOSING_FENCE.match(run)) is not None:
            run, is_fenced = run[closing.end() :], False
        if start < len(text):
            tail = run[-_FENCE_CHARS:]
            opening = _OPENING_FENCE.search(tail)
            if opening is not None:
                run, is_fenced = run[: len(run) - len(tail) + opening.start()], True
        runs.append(run)
        at = end
    return runs


def say_once(before: Sequence[str], texts: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """
    The texts with the prose that says anything else, in the order of the whole.

    Prose that says only what the texts say, too, is dropped; where it says all of them and more,
    it stands for them. One text and its prose stay one; several stay apart.
    """
    if len(before) > RUNS_MAX:
        before = [_join(before[:-RUNS_MAX]), *before[-RUNS_MAX:]]
    said = _words("\n".join(texts))
    words = {run: _words(run) for run in (*before, *after)}
    kept = [[run for run in side if words[run] not in said] for side in (before, after)]
    if said != _NO_WORDS and any(said in words[run] for side in kept for run in side):
        texts = ()
    if len(texts) <= 1:
        return (_join([*kept[0], *texts, *kept[1]]),)
    return (_join(kept[0]), *texts, _join(kept[1]))


_NO_WORDS = " "


def _words(text: str) -> str:
    """The words with a blank before and behind each, so that one is found only as a whole."""
    words = [word for word in _SEPARATORS.split(text.casefold()) if word]
    return " ".join(["", *words, ""]) if words else _NO_WORDS


def _join(runs: Sequence[str]) -> str:
    """Between two runs the blanks that the text has there; a line feed where it has none."""
    joined: list[str] = []
    for run in runs:
        if not run.strip():
            continue
        if joined and not joined[-1][-1:].isspace() and not run[:1].isspace():
            joined.append("\n")
        joined.append(run)
    return "".join(joined).strip()
