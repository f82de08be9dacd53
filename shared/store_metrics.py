"""The metrics that both services have: what Redis holds, and how well the loop turns."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from shared.counting import Counter, Histogram

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""The ``Content-Type`` of what ``render`` returns; every Prometheus knows this version."""

UNKNOWN = float("nan")
"""A gauge of what could not be measured: a value from before would look like one of now."""

_PREFIX = "inturn_"

_LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 6.0)


class StoreMetrics:
    """
    What Redis holds, and how well the loop turns: on both services.

    Ingest exports these too, for with every consumer dead nobody else could tell. Those about the
    store are NaN until they were measured for the first time: unknown is not zero. Every process
    tells the same of it, so they are never added up.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.oldest_unfinished_seconds = self._store_gauge(
            "oldest_unfinished_seconds", "age of the oldest message that is not finished, 0 if none"
        )
        self.backlog_messages = self._store_gauge(
            "backlog_messages", "messages that are in Redis and not finished"
        )
        self.partitions_without_owner = self._store_gauge(
            "partitions_without_owner", "partitions whose lease nobody holds"
        )
        self.dead_letters_kept = self._store_gauge(
            "dead_letters_kept", "windows given up that wait to be replayed or discarded"
        )
        self.replies_unsent = self._store_gauge(
            "replies_unsent", "replies that have not left, for whatever reason"
        )
        self.instances_paused = self._store_gauge(
            "instances_paused", "instances whose windows somebody has paused"
        )
        self.redis_memory_used_bytes = self._store_gauge(
            "redis_memory_used_bytes",
            "memory that Redis uses for data, by its own INFO; in a cluster the fullest server's",
        )
        self.redis_memory_max_bytes = self._store_gauge(
            "redis_memory_max_bytes", "maxmemory of Redis, 0 if it has no limit"
        )
        self.data_lost_total = self._counter(
            "data_lost_total", "times that everything in Redis was found to be gone"
        )
        self.loop_lag_seconds = self._histogram(
            "loop_lag_seconds", "how late the event loop ran a timer", _LAG_BUCKETS
        )

    def render(self) -> bytes:
        """Everything in Prometheus's text format; serve it as ``CONTENT_TYPE``."""
        return generate_latest(self.registry)

    def _store_gauge(self, name: str, text: str) -> Gauge:
        gauge = self._gauge(name, text)
        gauge.set(UNKNOWN)
        return gauge

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(_PREFIX + name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(_PREFIX + name, text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(_PREFIX + name, text, labels, registry=self.registry, buckets=buckets)
