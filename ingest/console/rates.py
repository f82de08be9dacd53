"""
How much comes and is finished in a second, and how late windows begin: out of what Redis keeps.

Counted is what stands there, whoever did it, so that every ingest process tells the same however
many there are. What was finished stands in the journals; what was accepted is that and what the
backlog has grown by. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

SPAN_MS = 5000
"""A rate is over so long: less jumps with every window that ends, more hides what has changed."""

LATENESS_SPAN_MS = 30_000
LATENESS_KEPT = 5000
POINT_MS = 1000
POINTS = 120
GAP_MS = 10_000
"""Nobody has looked for so long: what was before is no part of the same curve."""

_UNTIMED = frozenset({b"replay", b""})
"""What closed windows whose due time is long past, or not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """
    What stands in a journal: a window's end, or a reply's (``messages`` 0).

    ``late_ms``: from the window's due time to its start; None for another attempt than the first.
    """

    at: int
    what: str
    messages: int
    late_ms: int | None


def endings_in(rows: Sequence[Any]) -> Iterator[Ending]:
    """Journal rows as Redis gives them; what somebody else wrote there is left out."""
    for row_id, values in rows:
        row = dict(zip(values[::2], values[1::2], strict=False))
        try:
            yield Ending(
                at=int(row_id.partition(b"-")[0]),
                what=row[b"what"].decode(),
                messages=len(row.get(b"ids", b"").split()),
                late_ms=_lateness(row),
            )
        except (KeyError, ValueError):
            continue


def _lateness(row: dict[bytes, bytes]) -> int | None:
    if row.get(b"attempt") != b"1" or row.get(b"by", b"") in _UNTIMED:
        return None
    started, closed = int(row.get(b"started") or 0), int(row.get(b"closed") or 0)
    return max(0, started - closed) if started else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """
    A second's messages; None: one has not looked for long enough to know. ``history`` has a point
    for each second, oldest first: accepted, finished, backlog.
    """

    accepted: float | None
    finished: float | None
    late_p50_ms: int | None
    late_p99_ms: int | None
    history: Sequence[tuple[float, float, int]]


@dataclass(frozen=True, slots=True)
class _Seen:
    at: int
    backlog: int
    finished: int


class RateMeter:
    """Told what each look has found, it knows the rates."""

    def __init__(self) -> None:
        self._finished = 0
        self._seen: deque[_Seen] = deque()
        self._point: _Seen | None = None
        self._history: deque[tuple[float, float, int]] = deque(maxlen=POINTS)
        self._late: deque[tuple[int, int]] = deque(maxlen=LATENESS_KEPT)

    def is_due_anew(self, now_ms: int) -> bool:
        """Whether it is to begin anew: nobody has looked before, or not for long."""
        return not self._seen or not 0 <= now_ms - self._seen[-1].at < GAP_MS

    def begin(self) -> None:
        """Forget all that was seen."""
        self._seen.clear()
        self._history.clear()
        self._late.clear()
        self._point = None

    def take(self, now_ms: int, backlog: int, endings: Iterable[Ending]) -> None:
        """What a look at ``now_ms`` has found: ``endings`` are those since the look before."""
        for ending in endings:
            if self._seen:  # those of before the first look are of no known span
                self._finished += ending.messages
            if ending.late_ms is not None:
                self._late.append((ending.at, ending.late_ms))
        seen = _Seen(now_ms, backlog, self._finished)
        self._seen.append(seen)
        while len(self._seen) > 2 and self._seen[1].at <= now_ms - SPAN_MS:
            self._seen.popleft()
        while self._late and self._late[0][0] <= now_ms - LATENESS_SPAN_MS:
            self._late.popleft()
        if self._point is None:
            self._point = seen
        elif now_ms - self._point.at >= POINT_MS:
            self._history.append((*_rates_between(self._point, seen), backlog))
            self._point = seen

    def rates(self) -> Rates:
        """As they are after the last look."""
        accepted = finished = None
        if len(self._seen) > 1:
            accepted, finished = _rates_between(self._seen[0], self._seen[-1])
        late = sorted(ms for _, ms in self._late)
        return Rates(
            accepted=accepted,
            finished=finished,
            late_p50_ms=late[len(late) // 2] if late else None,
            late_p99_ms=late[len(late) * 99 // 100] if late else None,
            history=list(self._history),
        )


def _rates_between(one: _Seen, other: _Seen) -> tuple[float, float]:
    """Accepted and finished in a second; a backlog that somebody deleted was not accepted."""
    seconds = max(1, other.at - one.at) / 1000
    finished = other.finished - one.finished
    accepted = max(0, finished + other.backlog - one.backlog)
    return round(accepted / seconds, 1), round(finished / seconds, 1)
