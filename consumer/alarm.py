"""What a loop sleeps on: that somebody rings, or that a time has come."""

from __future__ import annotations

import asyncio
import math
import time

TIMER_MIN_S = 0.001
"""Timers of the loop count milliseconds and may be early: the next one must not be at once."""


class Alarm:
    """
    One loop waits; anybody rings.

    It has one timer, which is set anew only where it would be late: a loop that is rung a thousand
    times a second would make, and forget, as many.
    """

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._is_rung = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = math.inf

    def ring(self) -> None:
        """Let the loop go on, now or when it would wait the next time."""
        self._is_rung = True
        self._woken.set()

    async def wait(self, until_s: float) -> bool:
        """
        Until somebody has rung since the last wait, or it is ``until_s`` (monotonic).

        True: it is, whether somebody has rung or not: a time is not missed for all the ringing.
        What has come already is told without a pause.
        """
        while (delay_s := until_s - time.monotonic()) > 0 and not self._is_rung:
            self._woken.clear()
            self._set_timer(until_s, delay_s)
            await self._woken.wait()
        self._is_rung = False
        return delay_s <= 0

    def _set_timer(self, until_s: float, delay_s: float) -> None:
        if until_s >= self._timer_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = until_s
        self._timer = asyncio.get_running_loop().call_later(max(delay_s, TIMER_MIN_S), self._go_off)

    def _go_off(self) -> None:
        self._timer, self._timer_s = None, math.inf
        self._woken.set()
