"""
What the services count and time, by the names that dashboards and alerts rely on.

An attribute is the metric's name without the prefix: ``metrics.windows_closed_total`` is
``inturn_windows_closed_total``. Each object has a registry of its own, so that importing has no
effect and ``inturn up`` can hold both services in one process. Base units; labels are instance,
provider and closed sets, never a user.
"""

from __future__ import annotations

from shared.model import ClosedBy
from shared.store_metrics import CONTENT_TYPE, UNKNOWN, StoreMetrics

__all__ = [
    "ANSWERS_WITHOUT_REPLY",
    "CONTENT_TYPE",
    "OTHER",
    "UNKNOWN",
    "ConsumerMetrics",
    "IngestMetrics",
    "InstanceLabels",
    "StoreMetrics",
]

OTHER = "other"
"""The label of every instance beyond ``METRICS_INSTANCES``."""

ANSWERS_WITHOUT_REPLY = (
    "answers_without_reply_total",
    "handler answers in which no reply was found, which are silence",
)
"""On both services: ingest calls handlers, too, where ``ON_OUTAGE`` says so."""

# An append is one round trip on a local network: under 1 ms when idle, 2 s at the outage limit.
_APPEND_BUCKETS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.25, 1.0, 2.0)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
# The goal of lateness is 50 ms at the 99th percentile: resolution is finest around it.
_LATENESS_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_HANDLER_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
_REQUEST_BUCKETS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.064, 0.25, 1.0, 2.0, 10.0, 60.0)
_TAKEOVER_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

_TICKET_BUCKETS = (
    60.0,
    180.0,
    300.0,
    600.0,
    900.0,
    1200.0,
    1800.0,
    2700.0,
    3600.0,
    7200.0,
    14400.0,
)

_FENCED_CALLS = ("partition", "renew", "start", "postpone", "finish", "send")
_OUTCOMES = ("answered", "silent", "muted", "with_human", "dead")
_HELD = ("no_channel", "refused", "loop_limit", "ambiguous")
_AUDIT_FINDINGS = (
    "own_record",
    "foreign_record",
    "damaged_record",
    "lost_group",
    "hidden_entries",
    "unlisted_entries",
)


class InstanceLabels:
    """
    Keeps the number of ``instance`` labels bounded: names come from outside.

    The first ``limit`` names keep themselves for the life of the process; all later ones are
    ``other``.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._names: set[str] = set()

    def of(self, instance: str) -> str:
        """The label under which ``instance`` is counted."""
        if instance in self._names:
            return instance
        if len(self._names) >= self._limit:
            return OTHER
        self._names.add(instance)
        return instance


class IngestMetrics(StoreMetrics):
    """What the ingest service counts. ``instances`` bounds the labels of the same name."""

    def __init__(self, instances: InstanceLabels) -> None:
        super().__init__()
        self.instances = instances
        self.messages_accepted_total = self._counter(
            "messages_accepted_total", "messages kept, new ones only", "instance", "provider"
        )
        self.messages_duplicate_total = self._counter(
            "messages_duplicate_total", "messages that were kept before", "instance", "provider"
        )
        self.messages_ignored_total = self._counter(
            "messages_ignored_total", "things in webhooks that are no message", "provider", "kind"
        )
        self.requests_refused_total = self._counter(
            "requests_refused_total", "requests answered 4xx or 503", "reason"
        )
        self.connections_dropped_total = self._counter(
            "connections_dropped_total", "connections closed because there were too many", "kind"
        )
        for kind in ("idle", "slow", "new"):
            self.connections_dropped_total.labels(kind=kind)
        self.request_seconds = self._histogram(
            "request_seconds", "from a request's headers to its answer", _REQUEST_BUCKETS, "route"
        )
        self.append_seconds = self._histogram(
            "append_seconds", "one batch's way to Redis and back", _APPEND_BUCKETS
        )
        self.append_batch_messages = self._histogram(
            "append_batch_messages", "messages in one batch", _BATCH_BUCKETS
        )
        self.append_failures_total = self._counter(
            "append_failures_total", "appends without an answer, or not durable enough", "reason"
        )
        for reason in ("unavailable", "not_durable"):
            self.append_failures_total.labels(reason=reason)
        self._count_spool()
        self._count_tickets()

    def _count_tickets(self) -> None:
        self.tickets_entered_total = self._counter(
            "tickets_entered_total", "numbers given to users who wait in a queue", "clinic"
        )
        self.tickets_served_total = self._counter(
            "tickets_served_total", "numbers that were called and are finished", "clinic"
        )
        self.tickets_waiting = self._gauge("tickets_waiting", "users who wait in queues", "clinic")
        self.ticket_wait_seconds = self._histogram(
            "ticket_wait_seconds", "from a user's number to its call", _TICKET_BUCKETS, "clinic"
        )
        self.ticket_listeners = self._gauge("ticket_listeners", "open event streams of queues")
        self.ticket_listeners_dropped_total = self._counter(
            "ticket_listeners_dropped_total", "event streams cut, for they were not read"
        )

    def _count_spool(self) -> None:
        self.spool_messages = self._gauge(
            "spool_messages", "messages in this process's spool that are not in Redis yet"
        )
        self.spool_bytes = self._gauge("spool_bytes", "size of SPOOL_DIR, of all its processes")
        self.spool_oldest_seconds = self._gauge(
            "spool_oldest_seconds", "age of the oldest message in this process's spool, 0 if none"
        )
        self.spool_appends_total = self._counter(
            "spool_appends_total", "messages kept in the spool, for Redis took none"
        )
        self.spool_replayed_total = self._counter(
            "spool_replayed_total", "messages of the spool that are in Redis now"
        )
        self.spool_failures_total = self._counter(
            "spool_failures_total", "requests that the spool could not keep, answered 503"
        )
        self.direct_handled_total = self._counter(
            "direct_handled_total", "messages handled while Redis was away", "outcome"
        )
        for outcome in ("answered", "sent", "silent", "failed"):
            self.direct_handled_total.labels(outcome=outcome)
        self.answers_without_reply_total = self._counter(*ANSWERS_WITHOUT_REPLY)
        self.direct_replies_sent_total = self._counter(
            "direct_replies_sent_total", "replies to them that a provider took", "provider"
        )
        self.spool_damaged_total = self._counter(
            "spool_damaged_total", "runs of bytes in the spool that could not be read"
        )
        self.spool_refused_total = self._counter(
            "spool_refused_total", "messages of the spool that Redis refuses, set aside in a file"
        )


class ConsumerMetrics(StoreMetrics):
    """What the consumer service counts."""

    def __init__(self) -> None:
        super().__init__()
        self._count_windows()
        self._count_replies()
        self._count_ownership()
        self._count_repairs()

    def _count_windows(self) -> None:
        self.open_windows = self._gauge("open_windows", "windows that still gather")
        self.windows_running = self._gauge("windows_running", "windows in a handler's hand here")
        self.windows_closed_total = self._counter(
            "windows_closed_total", "windows closed", "reason"
        )
        for closed_by in ClosedBy:
            self.windows_closed_total.labels(reason=closed_by.value)
        self.window_lateness_seconds = self._histogram(
            "window_lateness_seconds", "from a window's due time to its start", _LATENESS_BUCKETS
        )
        self.handler_seconds = self._histogram(
            "handler_seconds", "one attempt's time in the handler", _HANDLER_BUCKETS, "outcome"
        )
        self.attempts_postponed_total = self._counter(
            "attempts_postponed_total", "attempts put off, to be made again", "reason"
        )
        for reason in ("retry", "unavailable", "given_back"):
            self.attempts_postponed_total.labels(reason=reason)
        self.messages_finished_total = self._counter(
            "messages_finished_total", "messages whose window is finished", "outcome"
        )
        for outcome in _OUTCOMES:
            self.messages_finished_total.labels(outcome)
        self.messages_replayed_total = self._counter(
            "messages_replayed_total", "of the finished ones, those of a window given up before"
        )
        self.answers_without_reply_total = self._counter(*ANSWERS_WITHOUT_REPLY)
        self.dead_letters_total = self._counter("dead_letters_total", "windows given up")

    def _count_replies(self) -> None:
        self.replies_sent_total = self._counter(
            "replies_sent_total", "replies that a provider took", "provider"
        )
        self.replies_held_total = self._counter(
            "replies_held_total", "replies kept instead of sent", "reason"
        )
        for reason in _HELD:
            self.replies_held_total.labels(reason=reason)
        self.replies_undecided = self._gauge(
            "replies_undecided", "replies that wait for a person here, held or refused", "state"
        )
        for state in ("held", "failed"):
            self.replies_undecided.labels(state=state)
        self.send_failures_total = self._counter(
            "send_failures_total", "sends that a provider did not take", "provider"
        )
        self.typing_failures_total = self._counter(
            "typing_failures_total", 'times that "typing" was not shown', "provider", "reason"
        )

    def _count_ownership(self) -> None:
        self.owned_partitions = self._gauge("owned_partitions", "partitions whose lease is ours")
        self.live_workers = self._gauge("live_workers", "workers that this one sees alive")
        self.takeovers_total = self._counter(
            "takeovers_total", "partitions taken and rebuilt from the stream", "reason"
        )
        self.takeover_seconds = self._histogram(
            "takeover_seconds", "from a new epoch to the first read", _TAKEOVER_BUCKETS
        )
        self.fenced_total = self._counter(
            "fenced_total", "calls refused for a lease or token that is not ours any more", "call"
        )
        for call in _FENCED_CALLS:
            self.fenced_total.labels(call=call)

    def _count_repairs(self) -> None:
        self.entries_reclaimed_total = self._counter(
            "entries_reclaimed_total", "entries that some worker read and nobody finished"
        )
        self.entries_missing_total = self._counter(
            "entries_missing_total", "entries deleted by somebody else while pending"
        )
        self.entries_undecodable_total = self._counter(
            "entries_undecodable_total", "entries that cannot be read, now dead letters"
        )
        self.records_damaged_total = self._counter(
            "records_damaged_total", "unreadable records, deleted: windows and sends begin anew"
        )
        self.groups_recreated_total = self._counter(
            "groups_recreated_total", "consumer groups that somebody else destroyed"
        )
        self.groups_rewound_total = self._counter(
            "groups_rewound_total", "consumer groups that somebody else moved past entries"
        )
        self.audits_failed_total = self._counter(
            "audits_failed_total", "audits that found something and began a takeover", "reason"
        )
        for finding in _AUDIT_FINDINGS:
            self.audits_failed_total.labels(reason=finding)
