"""When a pipe whose connection has failed may try again."""

from __future__ import annotations

import random
import time

from shared.command import Failure
from shared.errors import BrokerRefused, NotConnected, NotDurable

PAUSE_S = 0.05
PAUSE_MAX_S = 0.5
"""The pause after a failed connection, doubled from the one to the other, half of it drawn."""


class Pause:
    """Between two tries to connect: while it lasts, calls fail with what the last one met."""

    def __init__(self) -> None:
        self._tries = 0
        self._until_s = 0.0
        self._met: Failure | None = None

    def begin(self, met: Failure) -> None:
        """A try has failed; the pause after it is longer than the one before."""
        longest_s = min(PAUSE_S * 2**self._tries, PAUSE_MAX_S)
        self._tries = min(self._tries + 1, 10)
        self._until_s = time.monotonic() + longest_s * random.uniform(0.5, 1.0)
        self._met = _anew(met)

    def end(self) -> None:
        """A connection has proved good."""
        self._tries, self._met = 0, None

    def failure(self) -> Failure | None:
        """What the last try met, if it is too early for another; nothing was sent."""
        met = self._met
        return None if met is None or time.monotonic() >= self._until_s else _anew(met)


def _anew(met: Failure) -> Failure:
    """The same without the traceback, which holds what its last caller was about."""
    if isinstance(met, BrokerRefused):
        return BrokerRefused(met.code, str(met))
    return NotDurable(str(met)) if isinstance(met, NotDurable) else NotConnected(str(met))
