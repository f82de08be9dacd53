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

FALLBACK_CHECK_S = 1.0
"""How often open windows are held against the local clock: only a step of Redis's needs it."""

FOREIGN_CHECK_S = 1.0
"""How often the records of other workers are looked at again."""

Due = tuple[int, int, State]
"""When a window is due in Redis's ms, a serial number, and whose it is."""


TICK_S = 0.001
"""Redis's time is cut off to milliseconds."""


class Timers:
    """
    The due times of one partition. ``now_ms`` is Redis's time at the last peek.

    ``_base``: a moment of Redis's time (ms) and of the local clock (s), at most so much too late as
    the fastest of the latest answers took.
    """

    def __init__(self) -> None:
        self._due: list[Due] = []
        self._behind: dict[str, list[Due]] = {}
        self._backoff: list[tuple[float, int, State, Token]] = []
        self._serial = itertools.count()
        self.now_ms = 0
        self._base = (0, 0.0)
        self._fallback_s = 0.0

    def close_at(self, state: State, due_ms: int) -> None:
        """An open window is due then; what was said of it before holds no more."""
        state.due_ms = due_ms
        heapq.heappush(self._due, (due_ms, next(self._serial), state))

    def run_again_at(self, state: State, due_s: float, token: Token) -> None:
        """A record is due then, if it still waits under ``token``."""
        heapq.heappush(self._backoff, (due_s, next(self._serial), state, token))

    def set_clock(self, now_ms: int, began_s: float, peeked_s: float) -> None:
        """
        Redis said ``now_ms`` between these two moments.

        A slow answer tells less than a fast one before it: what that one said is held on to while
        this one does not contradict it. Else an answer that took half a second would delay, by as
        much, what is due later.
        """
        self.now_ms = now_ms
        base_ms, base_s = self._base
        expected_s = base_s + (now_ms - base_ms) / 1000
        if not began_s - TICK_S <= expected_s <= peeked_s:
            self._base = (now_ms, peeked_s)

    def due_windows(self, watermark_ms: Callable[[str], int]) -> Iterator[State]:
        """
        Open windows whose due time the watermark of their stream has reached.

        What is due and not reached waits by its stream, so that it is not looked at each time
        while that stream's watermark stays behind: a flood may hold a million windows open.
        """
        for due in _pop_until(self._due, self.now_ms):
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

    def is_fallback_due(self, now_s: float) -> bool:
        """Whether open windows are to be held against the local clock again."""
        if now_s < self._fallback_s + FALLBACK_CHECK_S:
            return False
        self._fallback_s = now_s
        return True

    def next_wake_s(
        self, now_s: float, idle_s: float, *, has_open: bool, has_foreign: bool
    ) -> float:
        """When (monotonic seconds) something here is due; in ``idle_s`` at the latest."""
        wake_s = now_s + idle_s
        if self._due:
            base_ms, base_s = self._base
            wake_s = min(wake_s, base_s + (self._due[0][0] - base_ms) / 1000)
        if self._backoff:
            wake_s = min(wake_s, self._backoff[0][0])
        if has_foreign:
            wake_s = min(wake_s, now_s + FOREIGN_CHECK_S)
        if has_open:
            wake_s = min(wake_s, self._fallback_s + FALLBACK_CHECK_S)
        return max(wake_s, now_s)


def _pop_until(heap: list[Due], limit_ms: int) -> Iterator[Due]:
    while heap and heap[0][0] <= limit_ms:
        yield heapq.heappop(heap)
