"""Who should own what, and how long a lease is trusted."""

from __future__ import annotations

from collections import Counter

import pytest

from consumer.lease import (
    MARGIN,
    NO_TRUST,
    ROUNDS_PER_LEASE,
    TIMEOUT,
    Trust,
    assign,
    is_renewal_due,
    renew_by_s,
    retry_within_s,
    trust_from,
)

MIN_ANSWER_S = 0.02
"""What a second try must have in any case."""


def workers(count: int) -> list[str]:
    """Ids as processes have them."""
    return [f"worker-{number:04x}" for number in range(count)]


@pytest.mark.parametrize("partitions", [1, 5, 16, 64, 257])
@pytest.mark.parametrize("count", [1, 2, 3, 8, 17, 40])
def test_assignment_covers_all_and_is_fair_to_within_one(partitions: int, count: int) -> None:
    """Every partition has one owner, and no worker has two more than another."""
    owners = assign(partitions, workers(count))
    assert sorted(owners) == list(range(partitions))
    shares = Counter(dict.fromkeys(workers(count), 0))
    shares.update(owners.values())
    assert max(shares.values()) - min(shares.values()) <= 1
    assert set(shares) == set(workers(count))


def test_assignment_is_the_same_everywhere() -> None:
    """It does not depend on the order in which a worker has heard of the others."""
    assert assign(64, workers(7)) == assign(64, workers(7)[::-1])
    assert assign(16, ["b", "a"]) == assign(16, ["a", "b"])


def test_nobody_there_owns_nothing() -> None:
    """With every worker gone there is no assignment."""
    assert assign(16, []) == {}


@pytest.mark.parametrize("count", [1, 2, 3, 7, 15])
def test_joining_worker_moves_few_partitions(count: int) -> None:
    """Besides those it gets, few change hands: on average under twice as many."""
    partitions, runs, moved = 64, 20, 0
    for run in range(runs):
        before = [f"{worker}-{run}" for worker in workers(count)]
        old, new = assign(partitions, before), assign(partitions, [*before, f"joined-{run}"])
        moved += sum(old[number] != new[number] for number in old)
    assert moved / runs <= min(partitions, 3 * partitions / (count + 1))


@pytest.mark.parametrize("count", [2, 3, 7, 15])
def test_leaving_worker_moves_few_partitions(count: int) -> None:
    """The partitions of one that is gone are spread, and few others change hands."""
    partitions, runs, moved = 64, 20, 0
    for run in range(runs):
        before = [f"{worker}-{run}" for worker in workers(count)]
        old, new = assign(partitions, before), assign(partitions, before[1:])
        moved += sum(old[number] != new[number] for number in old)
    assert moved / runs <= min(partitions, 3 * partitions / count)


def test_trust_counts_from_before_the_request_left() -> None:
    """It ends before Redis could give the lease away: a margin short of ``lease_ms``."""
    trust = trust_from(sent_s=100.0, lease_ms=6000)
    assert trust.until_s == pytest.approx(106.0 - 6.0 * MARGIN)
    assert trust.holds(105.39)
    assert not trust.holds(105.41)


def test_trust_does_not_hold_at_its_very_end() -> None:
    """The end itself is outside."""
    assert not Trust(5.0).holds(5.0)
    assert Trust(5.0).holds(4.999)


def test_no_trust_never_holds() -> None:
    """Before the first renewal nothing may start."""
    assert not NO_TRUST.holds(0.0)
    assert not NO_TRUST.holds(1e9)


@pytest.mark.parametrize("lease_ms", [500, 1000, 2000, 6000, 60000])
def test_renewal_leaves_time_for_another_try(lease_ms: int) -> None:
    """A renewal that times out after a quarter of the lease can be repeated within the trust."""
    trust = trust_from(100.0, lease_ms)
    round_s = lease_ms / 1000 / ROUNDS_PER_LEASE
    assert not is_renewal_due(trust, 100.0 + round_s, lease_ms)
    due_s = renew_by_s(trust, lease_ms)
    assert due_s == pytest.approx(100.0 + 2 * round_s)
    assert is_renewal_due(trust, due_s, lease_ms)
    given_up_s = due_s + lease_ms / 1000 * TIMEOUT
    assert trust.holds(given_up_s + retry_within_s(lease_ms) + MIN_ANSWER_S)
