"""
A worker's right to a partition.

Redis is the authority: a lease is a key with an owner, an epoch and a TTL of ``lease_ms``; every
script that starts, reads or claims compares owner and epoch. A worker's own *trust* is shorter:
counted from before the renewal left, on the monotonic clock, less a margin. So:

- a worker without trust starts nothing, even if its renewal is merely late;
- a worker that slept keeps nothing: what its old connection still carries is refused;
- nobody waits for a dead owner longer than ``lease_ms``;
- losing a lease cancels no handler: a window's finish is guarded by the window's own token;
- a TTL above ``lease_ms`` can only come from a step of Redis's clock; whoever sees it clips it.

Which worker should own what is the same pure function everywhere (``assign``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

MARGIN = 0.1
"""The part of a lease that is never trusted: clocks of two machines run at different speeds."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Until when (monotonic seconds) something that expires in Redis can be relied on."""

    until_s: float

    def holds(self, now_s: float) -> bool:
        """Whether it can be relied on now."""
        return now_s < self.until_s


NO_TRUST = Trust(0.0)

RENEW_AT = 0.4
"""A round of the keeper renews what is older than this part of the lease."""

RENEW_BY = 0.5
"""The keeper waits for no later part: a renewal that times out can be repeated within the trust."""

TIMEOUT = 0.25
"""The part of a lease after which the keeper gives a command up."""

RETRY_AFTER = 0.1
RETRY_MAX_S = 0.3
"""After a failure the keeper waits for this part of the lease at most, and for no longer."""

ROUNDS_PER_LEASE = 4
"""Rounds of the keeper in one lease: a renewal comes at every second one."""


def trust_from(sent_s: float, lease_ms: int) -> Trust:
    """The trust that a renewal gives whose request left at ``sent_s``."""
    return Trust(sent_s + lease_ms * (1 - MARGIN) / 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A partition's lease as its owner knows it. ``epoch`` only grows, also for one owner."""

    worker: str
    partition: int
    epoch: int
    trust: Trust


def is_renewal_due(trust: Trust, now_s: float, lease_ms: int) -> bool:
    """Whether a lease that gives this trust should be renewed now."""
    return now_s >= _renewed_s(trust, lease_ms) + lease_ms * RENEW_AT / 1000


def renew_by_s(trust: Trust, lease_ms: int) -> float:
    """When (monotonic seconds) it must be renewed, whatever else is waited for."""
    return _renewed_s(trust, lease_ms) + lease_ms * RENEW_BY / 1000


def retry_within_s(lease_ms: int) -> float:
    """How long the keeper pauses at most after a failure: a second try still has its time."""
    return min(lease_ms * RETRY_AFTER / 1000, RETRY_MAX_S)


def _renewed_s(trust: Trust, lease_ms: int) -> float:
    return trust.until_s - lease_ms * (1 - MARGIN) / 1000


def assign(partitions: int, workers: Sequence[str]) -> dict[int, str]:
    """
    The fair owner of every partition: rendezvous hashing, balanced to within one.

    Every worker computes the same from the same set; a worker that joins or leaves moves few
    partitions besides its own.
    """
    if not workers:
        return {}
    share, extra = divmod(partitions, len(workers))
    counts = dict.fromkeys(sorted(workers), 0)
    owners: dict[int, str] = {}
    wishes = [(_weight(p, w), p, w) for p in range(partitions) for w in counts]
    for _, partition, worker in sorted(wishes, reverse=True):
        if partition in owners:
            continue
        if counts[worker] < share:
            counts[worker] += 1
        elif counts[worker] == share and extra > 0:
            counts[worker] += 1
            extra -= 1
        else:
            continue
        owners[partition] = worker
    return owners


def _weight(partition: int, worker: str) -> bytes:
    return hashlib.blake2b(f"{partition}\0{worker}".encode(), digest_size=8).digest()
