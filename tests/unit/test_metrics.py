"""The names that dashboards and alerts rely on."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest
from prometheus_client import Histogram

from shared.metrics import OTHER, ConsumerMetrics, IngestMetrics, InstanceLabels, StoreMetrics
from shared.model import ClosedBy

ROOT = Path(__file__).parents[2]
ON_BOTH = {
    "inturn_data_lost_total",
    "inturn_oldest_unfinished_seconds",
    "inturn_backlog_messages",
    "inturn_partitions_without_owner",
    "inturn_loop_lag_seconds",
    "inturn_dead_letters_kept",
    "inturn_replies_unsent",
    "inturn_instances_paused",
    "inturn_redis_memory_used_bytes",
    "inturn_redis_memory_max_bytes",
}
INGEST = ON_BOTH | {
    "inturn_messages_accepted_total",
    "inturn_messages_duplicate_total",
    "inturn_messages_ignored_total",
    "inturn_requests_refused_total",
    "inturn_append_seconds",
    "inturn_spool_messages",
}
CONSUMER = ON_BOTH | {
    "inturn_messages_finished_total",
    "inturn_windows_closed_total",
    "inturn_window_lateness_seconds",
    "inturn_handler_seconds",
    "inturn_replies_sent_total",
    "inturn_dead_letters_total",
    "inturn_entries_reclaimed_total",
    "inturn_entries_missing_total",
    "inturn_fenced_total",
    "inturn_open_windows",
    "inturn_owned_partitions",
}


def exported_names(metrics: StoreMetrics) -> set[str]:
    """What ``# TYPE`` lines name; the text format keeps a counter's ``_total``."""
    lines = metrics.render().decode().splitlines()
    return {line.split()[2] for line in lines if line.startswith("# TYPE")}


def test_ingest_exports_the_agreed_names() -> None:
    """Every name that DESIGN's faces promise for ingest is there."""
    assert exported_names(IngestMetrics(InstanceLabels(200))) >= INGEST


def test_consumer_exports_the_agreed_names() -> None:
    """Every name that DESIGN's faces promise for the consumer is there."""
    assert exported_names(ConsumerMetrics()) >= CONSUMER


def test_an_attribute_is_the_name_without_its_prefix() -> None:
    """Who knows a metric's name knows where the code counts it."""
    for metrics in (IngestMetrics(InstanceLabels(200)), ConsumerMetrics()):
        for name in exported_names(metrics):
            if name.startswith("inturn_") and not name.endswith("_created"):
                assert hasattr(metrics, name.removeprefix("inturn_")), name


def test_every_metric_is_moved_somewhere() -> None:
    """A metric that stands still whatever happens would calm whoever watches it."""
    moved = {
        node.attr
        for room in ("shared", "ingest", "consumer")
        for path in (ROOT / room).rglob("*.py")
        if path.name != "metrics.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    for metrics in (IngestMetrics(InstanceLabels(200)), ConsumerMetrics()):
        names = {name for name in exported_names(metrics) if name.startswith("inturn_")}
        ours = {name.removeprefix("inturn_") for name in names if not name.endswith("_created")}
        assert ours <= moved


def test_both_services_fit_into_one_process() -> None:
    """Two objects share nothing: ``inturn up`` holds both, and a test any number."""
    first, second = ConsumerMetrics(), ConsumerMetrics()

    first.dead_letters_total.inc()

    assert b"inturn_dead_letters_total 1.0" in first.render()
    assert b"inturn_dead_letters_total 0.0" in second.render()


def test_what_was_never_measured_is_not_zero() -> None:
    """An alert on a backlog must not be calmed by a process that has not looked yet."""
    text = ConsumerMetrics().render()

    assert b"inturn_backlog_messages NaN" in text
    assert b"inturn_partitions_without_owner NaN" in text
    assert b"inturn_dead_letters_kept NaN" in text
    assert b"inturn_redis_memory_used_bytes NaN" in text


def test_every_reason_to_close_a_window_is_there_from_the_start() -> None:
    """A rate over a reason that has not occurred yet is 0 and not absent."""
    text = ConsumerMetrics().render().decode()

    for reason in ClosedBy:
        assert f'inturn_windows_closed_total{{reason="{reason}"}} 0.0' in text


def test_what_should_never_happen_is_counted_from_zero() -> None:
    """An alert on the first increase of a counter needs the 0 before it."""
    text = ConsumerMetrics().render().decode()

    entries = ("hidden_entries", "unlisted_entries")
    for finding in ("own_record", "foreign_record", "damaged_record", "lost_group", *entries):
        assert f'inturn_audits_failed_total{{reason="{finding}"}} 0.0' in text
    for call in ("partition", "renew", "start", "postpone", "finish", "send"):
        assert f'inturn_fenced_total{{call="{call}"}} 0.0' in text
    for reason in ("no_channel", "refused", "loop_limit", "ambiguous"):
        assert f'inturn_replies_held_total{{reason="{reason}"}} 0.0' in text
    for reason in ("retry", "unavailable", "given_back"):
        assert f'inturn_attempts_postponed_total{{reason="{reason}"}} 0.0' in text
    for outcome in ("answered", "silent", "muted", "with_human", "dead"):
        assert f'inturn_messages_finished_total{{outcome="{outcome}"}} 0.0' in text


def test_instance_labels_are_bounded() -> None:
    """Beyond the limit an instance is ``other``; those seen before keep their name."""
    labels = InstanceLabels(2)

    assert [labels.of(name) for name in ("a", "b", "c", "a")] == ["a", "b", OTHER, "a"]


def test_labels_lead_to_one_count_however_they_are_written() -> None:
    """By position or by name, the first time and later; other labels count on their own."""
    counter = IngestMetrics(InstanceLabels(200)).messages_ignored_total

    for _ in range(2):
        counter.labels("evolution", "call").inc()
        counter.labels(kind="call", provider="evolution").inc()
        counter.labels(provider="evolution", kind="call").inc()
    counter.labels("call", "evolution").inc()

    (family,) = counter.collect()
    counted = {
        (sample.labels["provider"], sample.labels["kind"]): sample.value
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    assert counted == {("evolution", "call"): 6, ("call", "evolution"): 1}


@pytest.mark.parametrize("names", [{"kinds": "call", "provider": "evolution"}, {"kind": "call"}])
def test_wrong_labels_are_refused(names: dict[str, str]) -> None:
    """A slip does not become a count under another name."""
    counter = IngestMetrics(InstanceLabels(200)).messages_ignored_total

    counter.labels("evolution", "call").inc()

    with pytest.raises(ValueError, match="label"):
        counter.labels(**names)


def test_times_fall_into_the_buckets_that_the_client_would_choose() -> None:
    """At, beside and beyond every bound, in sum and count, however often it is asked for."""
    ours = IngestMetrics(InstanceLabels(1)).append_seconds
    bounds = [float(bound) for bound in ours._upper_bounds]
    theirs = Histogram("append_seconds", "the same", registry=None, buckets=bounds)
    amounts = [
        amount
        for bound in bounds[:-1]
        for amount in (bound, math.nextafter(bound, 0), math.nextafter(bound, math.inf))
    ]

    for amount in (*amounts, -1.0, 0.0, 1e9, math.inf):
        ours.observe(amount)
        theirs.observe(amount)

    assert told(ours) == told(ours) == told(theirs)


def test_what_cannot_be_counted_is_refused() -> None:
    """A counter never goes down, and without its labels nothing is counted, silently or not."""
    metrics = IngestMetrics(InstanceLabels(1))

    with pytest.raises(ValueError, match="only grows"):
        metrics.append_failures_total.labels("unavailable").inc(-1)
    with pytest.raises(AttributeError):
        metrics.append_failures_total.inc()
    with pytest.raises(AttributeError):
        metrics.request_seconds.observe(0.1)


def told(histogram: Histogram) -> list[tuple[str, str, float]]:
    """What is exported of it, but for its name and its birth."""
    (family,) = histogram.collect()
    return [
        (sample.name.rpartition("_")[2], sample.labels.get("le", ""), sample.value)
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]
