"""
How long an answer is waited for, by a process that may itself stand still meanwhile.

When it goes on (after SIGSTOP, or with a processor again), a timer that is due comes before whoever
waits hears of what has come: ``asyncio.timeout`` would give up an answer that is there.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

_LAST = 1 / 8


class Limit:
    """
    As ``asyncio.timeout``, but its last part begins only in a turn of the loop.

    So it ends on time, or that part after a standstill; what came until then is heard.
    """

    __slots__ = ("_began_s", "_loop", "_span_s", "_timeout", "_timer")

    def __init__(self, span_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._span_s = span_s
        self._timeout = asyncio.Timeout(None)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def renew(self) -> None:
        """Its time begins anew; where it has only just begun that is not worth a timer."""
        if self._loop.time() - self._began_s > self._span_s / 4:
            self._timer.cancel()
            self._timeout.reschedule(None)
            self._begin()

    def _begin(self) -> None:
        self._began_s = self._loop.time()
        self._timer = self._loop.call_later(self._span_s * (1 - _LAST), self._begin_last)

    def _begin_last(self) -> None:
        self._timeout.reschedule(self._loop.time() + self._span_s * _LAST)
