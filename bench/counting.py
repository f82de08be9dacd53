"""What it costs to count: one increase, and one time put into its bucket, with their labels."""

from __future__ import annotations

import timeit
from collections.abc import Callable

from bench.report import Reach, Report
from shared.metrics import IngestMetrics, InstanceLabels

CALLS = 20_000
REPEATS = 15


def add_counting(report: Report) -> None:
    """The goal of both is a microsecond. The least of many repeats: others only add."""
    metrics = IngestMetrics(InstanceLabels(1))
    calls: dict[str, Callable[[], None]] = {
        "one increase of a counter, labels and all": lambda: metrics.messages_accepted_total.labels(
            "instance", "evolution"
        ).inc(),
        "one time, labels and all": lambda: metrics.request_seconds.labels(
            "/webhooks/{provider}/{instance}"
        ).observe(0.015),
    }
    for name, call in calls.items():
        least_s = min(timeit.repeat(call, number=CALLS, repeat=REPEATS))
        report.add(name, least_s / CALLS * 1e6, "us", reach=Reach(limit=1.0))
