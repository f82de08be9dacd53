"""
What Redis holds that nobody works on, and how full it is: shown by both services.

Seldom, for it moves slowly, and while nobody writes inturn should cost Redis next to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.connect import Pipe
from shared.errors import InturnError
from shared.keys import Keys
from shared.metrics import UNKNOWN, StoreMetrics
from shared.server_info import ServerInfo
from shared.steering import NOT_STEERED
from shared.steering_store import SteeringStore
from shared.survey import count_kept

MEASURE_S = 30.0


async def keep_measuring(
    pipe: Pipe, keys: Keys, metrics: Sequence[StoreMetrics], interval_s: float = MEASURE_S
) -> None:
    """
    Set the gauges of all ``metrics`` every ``interval_s``, until cancelled.

    While Redis does not tell they are NaN; the survey beside this tells of an outage in the log.
    """
    store, steering = SteeringStore(pipe, keys), NOT_STEERED
    while True:
        try:
            await _measure(pipe, keys, metrics)
            steering = await store.read(steering)
            for shown in metrics:
                shown.instances_paused.set(len(steering.paused()))
        except InturnError:
            _show_unknown(metrics)
        await asyncio.sleep(interval_s)


async def _measure(pipe: Pipe, keys: Keys, metrics: Sequence[StoreMetrics]) -> None:
    kept, each = await asyncio.gather(
        count_kept(pipe, keys), pipe.call_everywhere("INFO", "memory")
    )
    memory = fullest([ServerInfo.parse(raw) for raw in each])
    for shown in metrics:
        shown.dead_letters_kept.set(kept.dead_letters)
        shown.replies_unsent.set(kept.replies)
        shown.redis_memory_used_bytes.set(memory.number("used_memory"))
        shown.redis_memory_max_bytes.set(memory.number("maxmemory"))


def fullest(servers: Sequence[ServerInfo]) -> ServerInfo:
    """Of a cluster's servers: the one that will refuse first; without limits the largest."""

    def fullness(one: ServerInfo) -> tuple[float, int]:
        used, limit = one.number("used_memory"), one.number("maxmemory")
        return (used / limit if limit else 0.0), used

    return max(servers, key=fullness)


def _show_unknown(metrics: Sequence[StoreMetrics]) -> None:
    for shown in metrics:
        for gauge in (
            shown.dead_letters_kept,
            shown.replies_unsent,
            shown.instances_paused,
            shown.redis_memory_used_bytes,
            shown.redis_memory_max_bytes,
        ):
            gauge.set(UNKNOWN)
