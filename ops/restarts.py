"""
When what died is started again, and when it is given up. Pure: times in, a decision out.

Redis counts every death, because it dies of causes that a restart does not mend: a full disk, a
damaged file. The services count only deaths right after a start: a handler that kills its process
is the window's fault, which ends as a dead letter after its last attempt, if we keep restarting.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

PAUSE_S = 0.1
PAUSE_MAX_S = 5.0


@dataclass(slots=True, kw_only=True)
class Restarts:
    """``limit`` deaths within ``window_s``, of a life shorter than ``young_s`` each, are enough."""

    limit: int
    window_s: float
    young_s: float = math.inf
    _deaths_s: deque[float] = field(default_factory=deque)
    _in_a_row: int = 0

    def after_death(self, *, started_s: float, died_s: float) -> float | None:
        """Seconds to wait before the next start, doubling while lives stay short; None: give up."""
        lived_s = died_s - started_s
        self._in_a_row = self._in_a_row + 1 if lived_s < self.window_s else 1
        if lived_s < self.young_s:
            self._deaths_s.append(died_s)
        while self._deaths_s and self._deaths_s[0] <= died_s - self.window_s:
            self._deaths_s.popleft()
        if len(self._deaths_s) >= self.limit:
            return None
        return float(min(PAUSE_S * 2 ** (self._in_a_row - 1), PAUSE_MAX_S))


def redis_restarts() -> Restarts:
    """Three deaths within a minute."""
    return Restarts(limit=3, window_s=60.0)


def services_restarts() -> Restarts:
    """
    Three deaths within a minute, each in the first two seconds of a life.

    Two seconds are shorter than a lease: a window that kills its worker is not tried again before
    the dead worker's key has expired.
    """
    return Restarts(limit=3, window_s=60.0, young_s=2.0)
