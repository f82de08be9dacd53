"""
Echoes: messages that left an account, told apart into ours and those that a person wrote.

Redis knows what we sent, and is told what a person wrote where ``ON_HUMAN`` mutes. An echo is a
signal: when Redis is away it is counted as ``from_me`` and forgotten, and no request fails for it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from structlog.typing import FilteringBoundLogger

from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.keys import Keys, sent_hash
from shared.on_human import mute_ms_of
from shared.providers import Echo
from shared.scripts import load_script
from shared.sent_ids import keep_ms
from shared.settings import Settings

OURS, HUMAN, UNKNOWN = "echo", "human", "from_me"
"""The kinds that echoes are counted as, among what is no message."""

LIMIT_S = 0.5
"""How long Redis is waited for: a provider waits for our answer, and may have waited before."""

BATCH = 32
"""Echoes per script: Redis answers nobody else while it runs."""

CAUSES_MAX = 32
"""Of one conversation's persons' messages so many are kept: the newest mutes longest."""

Judge = Callable[[str, Sequence[Echo]], Awaitable[Mapping[str, int]]]
"""Counts the echoes that came through a connection, by kind. Never raises."""

log: FilteringBoundLogger = structlog.get_logger()


async def judge_nothing(_connection: str, echoes: Sequence[Echo]) -> Mapping[str, int]:
    """Where there is no Redis to ask."""
    return {UNKNOWN: len(echoes)} if echoes else {}


class EchoJudge:
    """Asks Redis whose echoes are, one script call per partition."""

    def __init__(self, pipe: Pipe, keys: Keys, settings: Settings) -> None:
        self._pipe = pipe
        self._keys = keys
        self._settings = settings

    async def judge(self, connection: str, echoes: Sequence[Echo]) -> Mapping[str, int]:
        """
        How many echoes were ours, a person's or nobody knows whose.

        A person's stand in Redis before this returns, so that a request which is cut off, and sent
        again, mutes all the same; a second time changes nothing.
        """
        found: Counter[str] = Counter()
        if not echoes:
            return found
        try:
            async with asyncio.timeout(LIMIT_S):
                for number, theirs in self._by_partition(echoes).items():
                    for begin in range(0, len(theirs), BATCH):
                        batch = theirs[begin : begin + BATCH]
                        found.update(await self._ask(number, connection, batch))
        except (TimeoutError, BrokerUnavailable, BrokerRefused, UnicodeEncodeError) as error:
            # UnicodeEncodeError: half a surrogate pair, of which no key can be made
            log.info("echo.unknown", connection=connection, error=type(error).__name__)
            found[UNKNOWN] += len(echoes) - found.total()
        return found

    def _by_partition(self, echoes: Sequence[Echo]) -> Mapping[int, list[Echo]]:
        found: dict[int, list[Echo]] = {}
        for echo in echoes:
            number = self._keys.of(echo.instance, echo.user).number
            found.setdefault(number, []).append(echo)
        return found

    async def _ask(self, number: int, connection: str, echoes: Sequence[Echo]) -> list[str]:
        partition = self._keys.partition(number)
        keys: list[str] = []
        args: list[bytes | int] = [CAUSES_MAX]
        for echo in echoes:
            hashed = sent_hash(echo.instance, echo.user, echo.message_id)
            keys += (partition.human(echo.instance, echo.user), *partition.both_sent(hashed))
            mute_ms = mute_ms_of(self._settings, echo.instance, connection)
            args += (hashed, keep_ms(mute_ms))
        answer = await self._pipe.script(load_script("echo"), keys, args)
        return [HUMAN if code else OURS for code in answer]
