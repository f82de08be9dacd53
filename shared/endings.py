"""
What became of a window, for as long as its messages' ids are remembered.

An ending stands among its conversation's ids (``seen``) and expires with the longest remembered of
them, when the journal has long forgotten the window. Its field is the window's first entry id; its
value is two letters of what became of it, the id of the reply, the dead letter or else the
journal's row, the last entry id where that is another, and when the reply ended: ``finish`` writes
``an1760000000000-0 1760000000000-4``, and ``sent`` makes of it
``se1760000000000-0 1760000000000-4 1760000000345``.

A window that never got its ending (Redis refused it) is finished, and nobody knows how or when.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from shared.model import EntryId

REPLY_ENDS = ("sent", "kept", "discarded")
"""What can become of a reply; before that its window is ``answered``."""

_OUTCOMES = ("answered", "dead", "silent", "muted", "with_human", "missing", *REPLY_ENDS)
_BY_LETTERS = {what[:2].encode(): what for what in _OUTCOMES}
_ENTRY_ID = re.compile(rb"\d+-\d+")
_VALUE = re.compile(rb"([a-z]{2})(\d+-\d+) (\d+-\d+)?(?: (\d+))?")


class Ending(Struct, frozen=True, kw_only=True, gc=False):
    """
    What became of the window whose messages have the entries ``first`` to ``last``.

    ``what``: as the journal calls it, or what became of its reply. ``ref``: the reply or the dead
    letter, else the journal's row; its ms are when that was. ``ended_at``: when the reply ended.
    """

    first: EntryId
    last: EntryId
    what: str
    ref: EntryId
    ended_at: int | None = None


def in_order(endings: Iterable[Ending]) -> tuple[Ending, ...]:
    """By their first entries; of a window that has two (it was dead, then replayed) the newest."""
    newest: dict[EntryId, Ending] = {}
    for one in sorted(endings, key=lambda ending: (ending.ref, ending.ended_at or 0)):
        newest[one.first] = one
    return tuple(newest[first] for first in sorted(newest))


def decode_ending(field: bytes, value: bytes) -> Ending | None:
    """One field of a conversation's ``seen``; None: it is a message's id, or a later version's."""
    parts = _VALUE.fullmatch(value)
    what = parts and _BY_LETTERS.get(parts[1])
    if parts is None or what is None or not _ENTRY_ID.fullmatch(field):
        return None
    first = EntryId.parse(field)
    return Ending(
        first=first,
        last=first if parts[3] is None else EntryId.parse(parts[3]),
        what=what,
        ref=EntryId.parse(parts[2]),
        ended_at=None if parts[4] is None else int(parts[4]),
    )
