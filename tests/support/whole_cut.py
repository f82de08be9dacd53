"""All windows of a user at once, by the steps of the product: a cut, and the next one behind it."""

from __future__ import annotations

from collections.abc import Sequence

from shared.model import Entry, Window
from shared.window import Rules, first_cut, freeze


def cut_windows(
    entries: Sequence[Entry], rules: Rules, watermark_ms: int
) -> tuple[list[Window], list[Entry]]:
    """All closed windows of a user's entries, and the entries of the window that is open."""
    windows: list[Window] = []
    rest = list(entries)
    while rest:
        cut = first_cut(rest, rules)
        closed_by = cut.closes_at(watermark_ms)
        if closed_by is None:
            break
        windows.append(freeze(rest[: cut.size], closed_by, cut.due_ms))
        del rest[: cut.size]
    return windows, rest
