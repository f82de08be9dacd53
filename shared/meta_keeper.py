"""
Watches that the data under us are still those that we began with.

FLUSHALL, or a Redis that came back empty, takes everything along, ``<prefix>:meta`` too. What
was accepted is lost then, and nothing of ours brings it back; but it is said aloud, and the meta
is written again at once, by those who still know it: a process that starts later with another
number of partitions would otherwise write its own, and the two would look for messages in
different places.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog
from structlog.typing import FilteringBoundLogger

from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable, StartRefused
from shared.metrics import StoreMetrics
from shared.preflight import Prepared, create_meta, meta_problems, read_meta

INTERVAL_S = 1.0
"""One small command a second and process; ``inturn up`` is one."""

log: FilteringBoundLogger = structlog.get_logger()


async def keep_meta(
    pipe: Pipe, found: Prepared, *metrics: StoreMetrics, interval_s: float = INTERVAL_S
) -> None:
    """
    Look again and again, until cancelled.

    Data that are gone or others than ``found`` are counted, in all ``metrics``, and logged once
    by every process, and a meta that is not whole is completed with what this process knows.
    While Redis does not answer or takes no writes, the next round tries again.

    Raises:
        StartRefused: there are other data now, which this process must not touch. It exits 2.
    """
    watch = _Watch(pipe, found, metrics)
    while True:
        with suppress(BrokerUnavailable, BrokerRefused):  # the survey tells of an outage
            await watch.look()
        await asyncio.sleep(interval_s)


class _Watch:
    """``known``: when the data were created that we know; None after they were lost."""

    def __init__(self, pipe: Pipe, found: Prepared, metrics: Sequence[StoreMetrics]) -> None:
        self._pipe = pipe
        self._found = found
        self._metrics = metrics
        self._known: str | None = found.created_at

    async def look(self) -> None:
        """One round. A loss is told before anything is written that may be refused."""
        keys = self._found.keys
        meta = await read_meta(self._pipe, keys)
        if self._known is not None and meta.created_at != self._known:
            self._tell_loss(self._known)
            self._known = None
        if not meta.is_whole:
            meta = await create_meta(self._pipe, keys, self._found.log_key)
        if problems := meta_problems(meta, keys):
            raise StartRefused(problems)
        self._known = meta.created_at

    def _tell_loss(self, created_at: str) -> None:
        for metrics in self._metrics:
            metrics.data_lost_total.inc()
        log.error(
            "data.lost",
            created_at=created_at,
            hint="everything in Redis is gone: it was flushed, or it came back empty",
        )
