"""Why somebody waits: each cause is told, and none where windows take what they are set to."""

from __future__ import annotations

from typing import Any

from ingest.console.glance import Glance, InHand, PartitionGlance, WorkerGlance
from ingest.console.why import count_retrying, why_waiting
from shared.doing import Doing
from shared.survey import PartitionSurvey, StoreSurvey

NOW = 1_700_000_000_000
WAIT_MS = 10_000


def glance(
    *records: InHand, workers: int = 1, state: str = "up", in_hand: int = 0, **doing: int
) -> Glance:
    """One partition with these records, and so many workers."""
    part = PartitionGlance(
        number=0,
        owner="worker-1",
        epoch=NOW,
        lease_ms=4000,
        in_hand=in_hand or len(records),
        replies=0,
        dead=0,
        records=records,
    )
    told = Doing(**{"slots": 4, **doing})
    live = [
        WorkerGlance(id=f"worker-{at}", state=state, host="h", lease_ms=4000, doing=told)
        for at in range(workers)
    ]
    return Glance(partitions=(part,), workers=tuple(live), endings=())


def survey(*, age_ms: int = 0, messages: int = 3, owned: bool = True) -> StoreSurvey:
    """One partition, with messages of which the oldest is so old."""
    oldest_at = NOW - age_ms if messages else None
    part = PartitionSurvey(
        number=0, owned=owned, messages=messages, oldest_at=oldest_at, now_ms=NOW
    )
    return StoreSurvey(now_ms=NOW, partitions=(part,))


def record(**fields: Any) -> InHand:
    """A window that waits for its next attempt, unless it has a worker."""
    plain = {"instance": "shop", "worker": "", "error": "", "since": 0}
    return InHand(**{**plain, "opened_at": NOW - 60_000, "started_at": NOW - 50_000, **fields})


def codes(survey: StoreSurvey, glance: Glance, paused: list[str] | None = None) -> list[str]:
    """The reasons, by name."""
    return [one["code"] for one in why_waiting(survey, glance, paused or [], WAIT_MS)]


def test_nobody_waits_while_windows_take_what_they_are_set_to() -> None:
    """Messages in open windows, and those that a handler has just been given, do not wait."""
    assert codes(survey(messages=0), glance()) == []
    assert codes(survey(age_ms=WAIT_MS), glance(record(worker="worker-1"))) == []


def test_without_a_worker_everything_waits() -> None:
    """Also when all that there are drain."""
    assert codes(survey(owned=False), glance(workers=0)) == ["no_worker"]
    assert codes(survey(messages=0), glance(state="draining")) == ["no_worker"]


def test_a_partition_without_owner_is_told_with_what_waits_in_it() -> None:
    """A worker lives, and has not taken it yet."""
    (reason,) = why_waiting(survey(owned=False), glance(), [], WAIT_MS)
    assert reason == {"code": "without_owner", "partitions": 1, "messages": 3}


def test_paused_instances_are_named_up_to_a_few() -> None:
    """Of the rest it says how many."""
    (reason,) = why_waiting(survey(), glance(), ["a", "b", "c", "d", "e"], WAIT_MS)
    assert reason == {"code": "paused", "instances": ["a", "b", "c"], "more": 2}


def test_failing_handlers_are_told_by_their_error_the_most_first() -> None:
    """One that cannot be reached is another case: its windows are not given up for it."""
    found = glance(
        record(error="answered 500"),
        record(error="no connection", since=NOW - 40_000),
        record(error="no connection", since=NOW - 30_000, instance="clinic"),
        record(worker="worker-1", error="answered 500"),
    )
    away, failing = why_waiting(survey(), found, [], WAIT_MS)
    assert away == {
        "code": "unavailable",
        "error": "no connection",
        "windows": 2,
        "since_s": 40.0,
        "instances": ["shop", "clinic"],
        "more": 0,
    }
    assert (failing["code"], failing["windows"], failing["since_s"]) == ("failing", 1, None)


def test_records_that_were_not_looked_at_are_counted_in_proportion() -> None:
    """Of a hundred windows in hand four were looked at, and half of them wait."""
    found = glance(
        record(error="answered 500"),
        record(error="answered 500"),
        record(worker="worker-1"),
        record(worker="worker-1"),
        in_hand=100,
    )
    (reason,) = why_waiting(survey(), found, [], WAIT_MS)
    assert (reason["windows"], count_retrying(found)) == (50, 50)


def test_full_workers_are_told() -> None:
    """All places of all workers are taken."""
    assert codes(survey(), glance(workers=2, running=4)) == ["busy"]
    assert codes(survey(), glance(workers=2, running=3)) == []


def test_a_window_that_its_handler_keeps_is_told() -> None:
    """It is older than any window may be, and somebody works on it."""
    found = glance(record(worker="worker-1"))
    (reason,) = why_waiting(survey(age_ms=60_000), found, [], WAIT_MS)
    assert reason == {"code": "with_handler", "since_s": 50.0, "instances": ["shop"], "more": 0}


def test_what_waits_without_a_cause_that_can_be_seen_is_told_as_such() -> None:
    """Nobody is left to think that all is well."""
    young = record(worker="worker-1", opened_at=NOW - 1000)
    assert codes(survey(age_ms=60_000), glance(young)) == ["overdue"]
    assert codes(survey(age_ms=60_000), glance()) == ["overdue"]
