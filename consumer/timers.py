"""
When an owner's conversations are due: windows by Redis's time, waiting records by the local clock.

Nothing is ever taken out before its time: what has changed meanwhile is passed over when it
comes up.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator

from consumer.conversation import Phase, State
from shared.model import Token

Due = tuple[int, int, State]
"""When a window is due in Redis's ms, a serial number, and whose it is."""


class Timers:
    """The due times of one partition."""

    def __init__(self) -> None:
        self._due: list[Due] = []
        self._behind: dict[str, list[Due]] = {}
        self._backoff: list[tuple[float, int, State, Token]] = []
        self._serial = itertools.count()

    @property
    def next_due_ms(self) -> int | None:
        """When (Redis's ms) the next window is due whose time has not come."""
        return self._due[0][0] if self._due else None

    @property
    def next_backoff_s(self) -> float | None:
        """When (monotonic seconds) the next waiting record is due."""
        return self._backoff[0][0] if self._backoff else None

    def close_at(self, state: State, due_ms: int) -> None:
        """An open window is due then; what was said of it before holds no more."""
        state.due_ms = due_ms
        heapq.heappush(self._due, (due_ms, next(self._serial), state))

    def run_again_at(self, state: State, due_s: float, token: Token) -> None:
        """A record is due then, if it still waits under ``token``."""
        heapq.heappush(self._backoff, (due_s, next(self._serial), state, token))

    def due_windows(self, now_ms: int, watermark_ms: Callable[[str], int]) -> Iterator[State]:
        """
        Open windows whose due time the watermark of their stream has reached.

        What is due and not reached waits by its stream, so that it is not looked at each time
        while that stream's watermark stays behind: a flood may hold a million windows open.
        """
        for due in _pop_until(self._due, now_ms):
            heapq.heappush(self._behind.setdefault(due[2].key[0], []), due)
        for instance, behind in list(self._behind.items()):
            for due_ms, _, state in _pop_until(behind, watermark_ms(instance)):
                if due_ms == state.due_ms and state.phase is Phase.OPEN:
                    yield state
            if not behind:
                del self._behind[instance]

    def due_records(self, now_s: float) -> Iterator[State]:
        """Records that have waited long enough."""
        while self._backoff and self._backoff[0][0] <= now_s:
            _, _, state, token = heapq.heappop(self._backoff)
            if state.phase is Phase.WAITING and state.record and state.record.token == token:
                yield state


def _pop_until(heap: list[Due], limit_ms: int) -> Iterator[Due]:
    while heap and heap[0][0] <= limit_ms:
        yield heapq.heappop(heap)
