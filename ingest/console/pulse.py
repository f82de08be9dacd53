"""One look that several views share: what waits, who works, how fast it goes, and why one waits."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from ingest.console.glance import Glance, Glancer
from ingest.console.rates import LATENESS_SPAN_MS, RateMeter, Rates
from shared.errors import InturnError
from shared.keys import Keys
from shared.pipe import Pipe
from shared.settings import Settings
from shared.steering import NOT_STEERED, Steering
from shared.steering_store import SteeringStore
from shared.survey import StoreSurvey, Surveyor

FRESH_S = 0.3
"""Another view gets what was seen less long ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look has found. ``longest_wait_ms``: what the slowest instance's windows may take."""

    survey: StoreSurvey
    glance: Glance
    steering: Steering
    rates: Rates
    longest_wait_ms: int


class Pulse:
    """Looks at the data of one connection; one look at a time."""

    def __init__(self, pipe: Pipe, keys: Keys, settings: Settings) -> None:
        self._settings = settings
        self._surveyor = Surveyor(pipe, keys)
        self._glancer = Glancer(pipe, keys)
        self._store = SteeringStore(pipe, keys)
        self._steering = NOT_STEERED
        self._meter = RateMeter()
        self._turn = asyncio.Lock()
        self._last: Seen | None = None
        self._looked_s = 0.0

    async def look(self) -> Seen:
        """
        What is there now, or was just now.

        Raises:
            BrokerUnavailable, BrokerRefused: nothing is known.
        """
        async with self._turn:
            if self._last is None or time.monotonic() - self._looked_s >= FRESH_S:
                try:
                    self._last = await self._look()
                except InturnError:
                    self._last = None
                    self._meter.begin()  # Redis may come back with less
                    raise
                self._looked_s = time.monotonic()
            return self._last

    async def _look(self) -> Seen:
        survey, self._steering = await asyncio.gather(
            self._surveyor.survey(), self._store.read(self._steering)
        )
        if self._meter.is_due_anew(survey.now_ms):
            self._meter.begin()
            self._glancer.forget(survey.now_ms - LATENESS_SPAN_MS)
        glance = await self._glancer.look()
        self._meter.take(survey.now_ms, survey.backlog_messages, glance.endings)
        return Seen(
            survey=survey,
            glance=glance,
            steering=self._steering,
            rates=self._meter.rates(),
            longest_wait_ms=longest_wait_ms(self._settings, self._steering),
        )


def longest_wait_ms(settings: Settings, steering: Steering) -> int:
    """What the windows of the slowest instance take to close."""
    named = [own.max_wait_ms for own in settings.instances.values() if own.max_wait_ms]
    steered = [
        int(values["max_wait_ms"].value)
        for values in steering.by_instance.values()
        if "max_wait_ms" in values
    ]
    return max([settings.max_wait_ms, *named, *steered]) + settings.grace_ms
