"""
An ingest process heeds whom it is to forget: on its disk, and in what it still puts into Redis.

It looks every second (``shared.forget.asked``). What its disk holds of somebody is overwritten
before it says so, and no replay is under way meanwhile: each batch of one asks, too.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog
from structlog.typing import FilteringBoundLogger

from ingest.spool.erase import erase
from ingest.spool.payload import Named
from ingest.spool.spool import now_ms
from shared.connect import Pipe
from shared.errors import InturnError
from shared.forget.asked import SAY_S, Asked
from shared.keys import Keys

LOOK_S = 1.0
LEAVE_S = 0.5

log: FilteringBoundLogger = structlog.get_logger()


def new_process_name() -> str:
    """By which a person finds the process: its machine and pid, and what no other one has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


class Forgets:
    """Heeds for one process. ``process``: the name under which it answers; '' for a command."""

    def __init__(self, pipe: Pipe, keys: Keys, root: Path, process: str = "") -> None:
        self._asked = Asked(pipe, keys, process)
        self._root = root
        self._prefix = keys.prefix
        self._replays = asyncio.Lock()
        self._has_left = False

    async def keep_heeding(self, interval_s: float = LOOK_S) -> None:
        """Heed what is asked for, until cancelled; while Redis is away, when it is back."""
        say_s = 0.0
        while not self._has_left:
            try:
                if time.monotonic() >= say_s or await self._asked.is_news():
                    await self.heed()
                    say_s = time.monotonic() + SAY_S
            except (InturnError, OSError) as error:
                say_s = 0.0  # what is heeded may be unsaid
                say = log.warning if isinstance(error, OSError) else log.debug
                say("forget.waits", error=str(error))
            await asyncio.sleep(interval_s)

    async def heed(self) -> None:
        """
        Ask, heed what is new, and say so.

        Raises:
            BrokerUnavailable, BrokerRefused, OSError: call again.
        """
        await self._asked.hear(now_ms())
        if not self._asked.has_news:
            return
        async with self._replays:  # what left before we heard has arrived
            count = await asyncio.to_thread(erase, self._root, self._prefix, self.is_due)
            self._asked.heed()
        log.info("forget.heeded", count=count)
        await self._asked.hear(now_ms())

    async def leave(self) -> None:
        """The process ends: nobody waits for it any more; if Redis is away, for a while yet."""
        self._has_left = True
        with suppress(InturnError, TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._asked.leave()

    @asynccontextmanager
    async def replaying(self) -> AsyncIterator[None]:
        """
        Around each batch that leaves the disk for Redis: what was asked for before is known.

        Raises:
            BrokerUnavailable, BrokerRefused: it is not known, and nothing may leave.
        """
        async with self._replays:
            await self._asked.hear(now_ms())
            yield

    def is_due(self, named: Named) -> bool:
        """Whether what is named so is to be forgotten."""
        return self._asked.covers(named.instance, named.user, named.at)
