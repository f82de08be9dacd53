"""When who has which slot is asked again. Pure: moments in, seconds out."""

from __future__ import annotations

import random

LOOK_S = 0.25
"""Two looks are so far apart at least, while it is known who has which slot."""

LATER_S = 1.0
"""
The same where look after look found nothing new: a master may be away for hours. A command for a
slot that nobody has waits for a look, so it is no longer.
"""

SOON_COUNT = 40
"""Looks that find nothing new before that: a failover may take some seconds."""


class Looks:
    """The looks of one pipe, and what they found."""

    def __init__(self) -> None:
        self._same = 0
        self._next_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """How long the next look has to wait."""
        if now_s > self._next_s + LATER_S:  # nobody asked meanwhile: all was well
            self._same = 0
        return max(0.0, self._next_s - now_s)

    def end(self, now_s: float, *, has_news: bool) -> None:
        """One has ended."""
        self._same = 0 if has_news else self._same + 1
        gap_s = LOOK_S if self._same <= SOON_COUNT else LATER_S
        self._next_s = now_s + gap_s * random.uniform(0.5, 1.0)
