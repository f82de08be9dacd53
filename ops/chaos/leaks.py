"""Looking for planted phone numbers, texts and secrets where none may stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path


def find_leaks(planted: Iterable[str], places: Iterable[tuple[str, str]]) -> list[str]:
    """``places`` are pairs of a place's name and its text; what is found is said, once each."""
    wanted = re.compile("|".join(re.escape(word) for word in planted))
    found: dict[tuple[str, str], str] = {}
    for name, text in places:
        for match in wanted.finditer(text):
            around = text[max(0, match.start() - 80) : match.end() + 20]
            found.setdefault((name, match.group()), around)
    return [f"{word!r} in {name}: ...{around}" for (name, word), around in found.items()]


def file_names(folder: Path) -> Iterator[tuple[str, str]]:
    """The path of every file below ``folder``."""
    for path in folder.rglob("*"):
        yield "file names", str(path.relative_to(folder))


def log_texts(paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """What stands in logs."""
    for path in paths:
        yield path.name, path.read_text(errors="replace")
