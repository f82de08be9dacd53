"""
What this worker has in hand: as metrics, and in its key, where the console of every ingest process
finds it.

It is told when it has changed, and again when the key had to be made anew. What could not be told
is told later: nothing depends on it, so no failure here is more than a line at debug.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog
from structlog.typing import FilteringBoundLogger

from consumer.dispatch import Dispatcher
from consumer.membership import Membership
from consumer.partition import Partition
from consumer.replies import count_undecided
from shared.doing import Doing, encode_doing
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.metrics import ConsumerMetrics
from shared.pipe import Pipe
from shared.scripts import load_script
from shared.settings import Settings

INTERVAL_S = 0.5

log: FilteringBoundLogger = structlog.get_logger()


class Teller:
    """``look`` counts what is in hand."""

    def __init__(
        self, pipe: Pipe, key: str, membership: Membership, look: Callable[[], Doing]
    ) -> None:
        self._pipe = pipe
        self._key = key
        self._membership = membership
        self._look = look
        self._told: tuple[Doing, int] | None = None

    async def run(self) -> None:
        """Look and tell until cancelled."""
        while True:
            await self.tell()
            await asyncio.sleep(INTERVAL_S)

    async def tell(self) -> None:
        """Look, and tell what is new; before the first beat there is no key to tell it in."""
        joins = self._membership.joins
        news = self._look(), joins
        if joins == 0 or news == self._told:
            return
        try:
            is_told = await self._pipe.script(
                load_script("tell"), (self._key,), (encode_doing(news[0]),)
            )
        except (BrokerUnavailable, BrokerRefused) as error:
            log.debug("worker.untold", error=str(error))
        else:
            self._told = news if is_told else None


def count_doing(
    partitions: Mapping[int, Partition],
    dispatcher: Dispatcher,
    settings: Settings,
    metrics: ConsumerMetrics,
) -> Doing:
    """What is in hand; what of it is a gauge is set."""
    owned = partitions.values()
    gathering = sum(len(partition.memory.open) for partition in owned)
    metrics.open_windows.set(gathering)
    return Doing(
        open=gathering,
        running=len(dispatcher.running),
        slots=settings.handler_concurrency,
        undecided=count_undecided([one.sender.outbox for one in owned], metrics),
    )
