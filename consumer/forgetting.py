"""
A worker fulfils wishes to forget, for users whose partitions it owns.

What is open is asked for when the deployment's bell rings, as it does with every wish and whenever
a partition changes hands; while something is open, every second. After a crash it is still open,
and the next owner does it again, which deletes what is left.
"""

from __future__ import annotations

import time
from collections.abc import Container

import structlog

from consumer.alarm import Alarm
from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.forget import Forgetter
from shared.forget.wish import Wishes
from shared.keys import Keys, partition_of
from shared.model import Conversation

LOOK_S = 60.0
"""For a wish whose ring was lost."""

AGAIN_S = 1.0

log = structlog.get_logger()


class ForgetKeeper:
    """Looks at what is open; ``owned`` are the numbers of the partitions that are ours now."""

    def __init__(self, pipe: Pipe, keys: Keys, owned: Container[int]) -> None:
        self._wishes = Wishes(pipe, keys)
        self._forgetter = Forgetter(pipe, keys)
        self._partitions = keys.partitions
        self._owned = owned
        self._alarm = Alarm()

    def ring(self) -> None:
        """There may be something to forget."""
        self._alarm.ring()

    async def run(self) -> None:
        """Look and fulfil until cancelled; that nothing can be asked is told once."""
        is_delayed = False
        while True:
            is_left = True
            try:
                is_left = await self._fulfil_ours()
                is_delayed = False
            except (BrokerUnavailable, BrokerRefused) as error:
                if not is_delayed:
                    log.warning("forget.delayed", error=str(error))
                is_delayed = True
            await self._alarm.wait(time.monotonic() + (AGAIN_S if is_left else LOOK_S))

    async def _fulfil_ours(self) -> bool:
        """Whether something is left, for another worker or for the next look."""
        is_left = False
        for wish, whose in (await self._wishes.open()).items():
            if partition_of(*whose, self._partitions) not in self._owned:
                is_left = True
                continue
            try:
                await self._fulfil(wish, whose)
            except (BrokerUnavailable, BrokerRefused) as error:  # others' may be elsewhere
                log.warning("forget.delayed", error=str(error))
                is_left = True
        return is_left

    async def _fulfil(self, wish: str, whose: Conversation) -> None:
        instance, user = whose
        report = await self._forgetter.forget(instance, user)
        await self._wishes.fulfil(wish, report.face())
        log.info("conversation.forgotten", instance=instance, user=user)
