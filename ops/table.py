"""Tables for a terminal: what an operator sees of things that are kept."""

from __future__ import annotations

from collections.abc import Sequence

CELL_MAX_CHARS = 40


def render_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines, each column as wide as its widest cell."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def describe_age(seconds: int) -> str:
    """Two digits tell an operator enough: ``40s``, ``12m``, ``5h``, ``9d``."""
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{max(0, seconds)}s"


def cut(text: str) -> str:
    """What fits into a cell."""
    return text if len(text) <= CELL_MAX_CHARS else text[: CELL_MAX_CHARS - 1] + "…"
