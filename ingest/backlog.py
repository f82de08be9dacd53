"""
Back-pressure: while too much is unfinished, new messages are refused with 503.

A stream that nobody reads grows until Redis is full, and then nothing works. Providers keep what
is refused and send it again, so the messages wait where they came from.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog
from structlog.typing import FilteringBoundLogger

from ingest.accepted import Accepted, Appender
from shared.errors import BacklogFull, InturnError
from shared.model import Message

LOOK_S = 1.0
"""At the limit the backlog is looked at again, at most so often."""

log: FilteringBoundLogger = structlog.get_logger()


class BacklogLimit:
    """
    An appender that takes messages while less than ``limit`` are unfinished, over all.

    What is known is the last survey plus what this process has added since. Several processes
    may overshoot by what the others add between two surveys. Where nothing is known, for Redis
    does not tell, nothing is refused: the spool has a limit of its own.
    """

    def __init__(
        self,
        appender: Appender,
        limit: int,
        look: Callable[[], Awaitable[int]],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``look`` counts the unfinished messages, or raises an ``InturnError``."""
        self._appender = appender
        self._limit = limit
        self._look = look
        self._now_s = now_s
        self._known: int | None = None
        self._looked_s = -LOOK_S
        self._looking = asyncio.Lock()
        self._refusing = False

    def note(self, backlog: int | None) -> None:
        """What somebody's survey has found; None: it could not."""
        self._known = backlog
        self._looked_s = self._now_s()

    async def append(self, messages: Sequence[Message]) -> list[Accepted]:
        """
        Keep all messages.

        Raises:
            BacklogFull: none of them was kept; the sender must send again.
            And what the appender behind it raises.
        """
        if self._exceeds(len(messages)) and await self._is_full(len(messages)):
            if not self._refusing:
                log.warning("backlog.full", limit=self._limit)
            self._refusing = True
            raise BacklogFull(self._limit)
        if self._refusing:
            log.info("backlog.taken", limit=self._limit)
        self._refusing = False
        kept = await self._appender.append(messages)
        if self._known is not None:
            for one in kept:
                self._known += not (one.duplicate or one.spooled)
        return kept

    def _exceeds(self, more: int) -> bool:
        return self._known is not None and self._known + more > self._limit

    async def _is_full(self, more: int) -> bool:
        """What seemed so is looked at again, if nobody has looked just now."""
        async with self._looking:
            if self._now_s() - self._looked_s >= LOOK_S:
                await self._look_again()
        return self._exceeds(more)

    async def _look_again(self) -> None:
        try:
            self.note(await self._look())
        except InturnError:
            self.note(None)
