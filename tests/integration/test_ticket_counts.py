"""How many wait, as metrics tell it: of all processes, and unknown while nobody can say."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ingest.ticket_counts import LOOKED_AT_MAX, TicketCounts
from shared.connect import Pipe
from shared.metrics import IngestMetrics, InstanceLabels
from shared.tickets import Entered, Tickets
from tests.support.pipes import running_pipe
from tests.support.waiting import eventually

CLINIC = "north-wing"


def waiting(metrics: IngestMetrics, clinic: str) -> float | None:
    """What a scrape would show."""
    return metrics.registry.get_sample_value("inturn_tickets_waiting", {"clinic": clinic})


@asynccontextmanager
async def looking(counts: TicketCounts) -> AsyncIterator[None]:
    """As the service does, but all the time."""
    task = asyncio.create_task(counts.keep_looking(0.001), name="looking")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_who_entered_elsewhere_is_seen(pipe: Pipe, prefix: str) -> None:
    """A listed clinic is looked up though this process never heard of it; NaN before."""
    await Tickets(pipe, prefix).enter(CLINIC, "ann")
    metrics = IngestMetrics(InstanceLabels(1))
    counts = TicketCounts(Tickets(pipe, prefix, clinics=[CLINIC]), metrics, labels_max=10)
    assert math.isnan(waiting(metrics, CLINIC) or 0)
    async with looking(counts):
        await eventually(lambda: waiting(metrics, CLINIC) == 1, "one who waits")
        await Tickets(pipe, prefix).enter(CLINIC, "bob")
        await eventually(lambda: waiting(metrics, CLINIC) == 2, "two who wait")


async def test_without_redis_nobody_knows(redis_url: str, prefix: str) -> None:
    """A number from before an outage would look like one of now."""
    metrics = IngestMetrics(InstanceLabels(1))
    async with running_pipe(redis_url) as pipe:
        tickets = Tickets(pipe, prefix, clinics=[CLINIC])
        counts = TicketCounts(tickets, metrics, labels_max=10)
        counts.entered(await tickets.enter(CLINIC, "ann"))
    assert waiting(metrics, CLINIC) == 1
    async with looking(counts):
        await eventually(lambda: math.isnan(waiting(metrics, CLINIC) or 0), "NaN")


async def test_names_that_anybody_makes_up_cost_little(pipe: Pipe, prefix: str) -> None:
    """One label for all of them, and so many are remembered: the last that were heard of."""
    metrics = IngestMetrics(InstanceLabels(1))
    counts = TicketCounts(Tickets(pipe, prefix), metrics, labels_max=10)
    for number in range(2 * LOOKED_AT_MAX):
        counts.entered(
            Entered(
                clinic=f"made up {number}", user="x", number=1, ahead=0, waiting=1, already=False
            )
        )
    assert waiting(metrics, "other") == LOOKED_AT_MAX
    text = metrics.render().decode()
    assert f'inturn_tickets_entered_total{{clinic="other"}} {2 * LOOKED_AT_MAX}.0' in text
    assert "made up" not in text


async def test_listed_clinics_beyond_the_labels_are_one(pipe: Pipe, prefix: str) -> None:
    """``METRICS_INSTANCES`` bounds them, as it does instances."""
    metrics = IngestMetrics(InstanceLabels(1))
    tickets = Tickets(pipe, prefix, clinics=["a", "b", "c"])
    counts = TicketCounts(tickets, metrics, labels_max=2)
    for clinic in ("a", "b", "c"):
        counts.entered(await tickets.enter(clinic, "ann"))
    assert [waiting(metrics, label) for label in ("a", "b", "c", "other")] == [1, 1, None, 1]
