"""A loop's sleep: nobody who rings is missed, and no time is."""

from __future__ import annotations

import asyncio
import math
import time

from consumer.alarm import Alarm

LIMIT_S = 5.0


async def test_a_ring_before_the_wait_is_heard_once() -> None:
    """What was rung while the loop was busy is told at once, and only to one wait."""
    alarm = Alarm()
    alarm.ring()
    alarm.ring()
    async with asyncio.timeout(LIMIT_S):
        assert not await alarm.wait(math.inf)
        assert await alarm.wait(time.monotonic() + 0.01)


async def test_a_ring_ends_the_wait() -> None:
    """Without a time there is no timer, and the ring comes all the same."""
    alarm = Alarm()
    asyncio.get_running_loop().call_soon(alarm.ring)
    async with asyncio.timeout(LIMIT_S):
        assert not await alarm.wait(math.inf)


async def test_an_earlier_time_goes_before_a_later_one() -> None:
    """A timer that stands for later is set anew; one that stands for sooner wakes nobody early."""
    alarm = Alarm()
    for later_s in (60.0, 0.05):
        asyncio.get_running_loop().call_soon(alarm.ring)
        assert not await alarm.wait(time.monotonic() + later_s)
    until_s = time.monotonic() + 0.1
    async with asyncio.timeout(LIMIT_S):
        assert await alarm.wait(until_s)
    assert time.monotonic() >= until_s


async def test_a_time_is_not_missed_for_all_the_ringing() -> None:
    """Rung before every wait, it still tells that the time has come."""
    alarm = Alarm()
    until_s = time.monotonic() + 0.02
    async with asyncio.timeout(LIMIT_S):
        while True:
            alarm.ring()
            if await alarm.wait(until_s):
                break
            await asyncio.sleep(0)
    assert time.monotonic() >= until_s


async def test_a_time_that_has_passed_is_told_at_once_and_takes_the_ring_along() -> None:
    """The loop looks at everything then; it need not turn once more."""
    alarm = Alarm()
    alarm.ring()
    assert await alarm.wait(0.0)
    async with asyncio.timeout(LIMIT_S):
        assert await alarm.wait(time.monotonic() + 0.01)
