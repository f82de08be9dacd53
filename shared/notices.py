"""
What is published on one channel, heard on a connection of its own.

Redis keeps nothing of it: what is said while nobody hears is lost. So a notice only says that
there is something to read, and ``on_begin`` that something may have been said before. A primary of
yesterday says nothing more: it is left when another connection was led elsewhere.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog
from redis.asyncio.connection import AbstractConnection
from structlog.typing import FilteringBoundLogger

from shared.answers import NOT_YET, AnswerReader
from shared.broker_errors import classify
from shared.connect import route_of
from shared.errors import BrokerRefused, NotConnected
from shared.route import hang_up

SILENCE_S = 5.0
"""After so long without a word the server is asked for one; twice that is a dead line."""

PAUSE_S = 0.1
PAUSE_MAX_S = 5.0

log: FilteringBoundLogger = structlog.get_logger()


class Notices:
    """
    A channel's messages while ``wanted`` is set; soon after it was cleared the connection ends.

    ``run`` must be running. ``on_notice`` is told each message, ``on_begin`` each time that it
    begins to hear, also again.
    """

    def __init__(
        self,
        url: str,
        channel: str,
        *,
        timeout_ms: int,
        name: str,
        wanted: asyncio.Event,
        on_notice: Callable[[bytes], None],
        on_begin: Callable[[], None],
        silence_s: float = SILENCE_S,
    ) -> None:
        self._channel = channel
        self._timeout_s = timeout_ms / 1000
        self._route = route_of(url, timeout_s=self._timeout_s, client_name=f"inturn-{name}")
        self._on_notice = on_notice
        self._on_begin = on_begin
        self._silence_s = silence_s
        self._wanted = wanted
        self._failures = 0

    async def run(self) -> None:
        """Hear while it is wanted, again after each failure, until cancelled."""
        while True:
            await self._wanted.wait()
            try:
                await self._hear()
            except Exception as error:  # noqa: BLE001 - a dead peer may raise TypeError in redis-py
                if not self._failures:
                    log.warning("notices.lost", channel=self._channel, error=str(classify(error)))
                longest_s = min(PAUSE_S * 2**self._failures, PAUSE_MAX_S)
                self._failures = min(self._failures + 1, 10)
                await asyncio.sleep(longest_s * random.uniform(0.5, 1.0))

    async def _hear(self) -> None:
        async with asyncio.timeout(self._timeout_s):
            connection = await self._route.connect()
        try:
            answers = AnswerReader(connection)
            await connection.send_command("SUBSCRIBE", self._channel)
            while self._wanted.is_set():
                if not self._route.is_current():
                    raise NotConnected("another server is the primary now")
                self._take(await self._next(connection, answers))
        finally:
            await hang_up(connection)

    async def _next(self, connection: AbstractConnection, answers: AnswerReader) -> list[bytes]:
        """
        Raises:
            Exception: of redis-py or ours; the connection is of no use any more.
        """
        is_asked = False
        while (answer := answers.take()) is NOT_YET:
            try:
                async with asyncio.timeout(self._silence_s):
                    await answers.wait()
            except TimeoutError:
                if is_asked:
                    raise
                is_asked = True
                await connection.send_command("PING")
        if isinstance(answer, BrokerRefused):
            raise answer
        return list(answer)

    def _take(self, answer: list[bytes]) -> None:
        if answer[0] == b"subscribe":
            self._failures = 0
            self._on_begin()
        elif answer[0] == b"message":
            self._on_notice(answer[2])
