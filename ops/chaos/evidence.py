"""
What is known from outside: plain facts with their times, in monotonic seconds of the judge.

Nothing here decides; ``checks`` does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

from ops.chaos.asking import Asks
from ops.chaos.cutter import Raw

Who = tuple[str, str]
"""(instance, user)."""

SETTLE_LEASES = 2
"""After a worker or Redis is back, what was done meanwhile is known to all within these."""


class Said(StrEnum):
    """What ingest's answer means to the sender."""

    OK = "ok"
    REJECTED = "rejected"
    """4xx: it is not kept, and sending it again is of no use."""
    UNKNOWN = "unknown"
    """503, a broken connection, no answer: it may be kept or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One time that a message was sent: to which ingest, and what came back."""

    ingest: str
    began_s: float
    took_s: float
    said: Said
    status: int = 0
    entry_id: str | None = None
    spooled: bool = False


@dataclass(slots=True, kw_only=True)
class Sent:
    """A message that a user sent; ``number`` rises in the order of sending."""

    number: int
    who: Who
    message_id: str
    asks: Asks = ""
    posts: list[Post] = field(default_factory=list)

    @property
    def is_accepted(self) -> bool:
        """Whether some answer said that it is kept."""
        return any(post.said is Said.OK for post in self.posts)

    @property
    def is_refused(self) -> bool:
        """Whether every answer said that it is not kept."""
        return bool(self.posts) and all(post.said is Said.REJECTED for post in self.posts)


@dataclass(slots=True, kw_only=True)
class Call:
    """
    One call of the handler by one worker; ``failed``: it was answered with an error.

    ``ended_s`` is when the answer was given, None while it is at work.
    """

    who: Who
    window_id: str
    attempt: int
    closed_by: str
    members: tuple[str, ...]
    worker: str
    began_s: float
    ended_s: float | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A reply that arrived at the provider; its text is the window's id."""

    who: Who
    window_id: str
    worker: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """A dead letter as it stands in Redis."""

    who: Who
    window_id: str
    members: tuple[str, ...]
    attempts: int


@dataclass(slots=True, kw_only=True)
class Disturbance:
    """
    Something that was done to some processes, or (no victims) to all.

    Its effects may last ``settle_s`` longer than itself: the time until everybody knows, two
    leases.
    """

    what: str
    victims: frozenset[str] = frozenset()
    began_s: float
    ended_s: float = inf
    settle_s: float = 0.0
    kills: bool = False

    @property
    def is_like_death(self) -> bool:
        """
        Whether its victims died, or may have been taken for dead: it lasted half a lease or more.

        What they had started then counts as an attempt, though its handler was never called.
        """
        lasted_s = self.ended_s - self.began_s
        return self.kills or (self.settle_s > 0 and lasted_s >= self.settle_s / 4)

    def touches(self, victim: str, since_s: float, until_s: float) -> bool:
        """Whether it can have had an effect on ``victim`` within that span."""
        if self.victims and victim not in self.victims:
            return False
        return self.began_s <= until_s and self.ended_s + self.settle_s >= since_s

    def may_end_within(self, since_s: float, until_s: float) -> bool:
        """
        Whether within that span its victims died, or were taken for dead as they may have been.

        What was killed for good died as it began; a stall may have what was started during it fail.
        """
        last_s = self.began_s if self.ended_s == inf else self.ended_s + self.settle_s
        return self.began_s <= until_s and last_s >= since_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What may not grow: in Redis, and the open files of each process by its name."""

    stream_entries: int
    consumers: int
    seen_keys: int
    keys: int
    memory_bytes: int
    journal_bytes: int = 0
    """Part of ``memory_bytes``: what is kept for ``retention_ms``, whatever the faults."""
    files: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Evidence:
    """All of it. ``raw``, ``outbox``, ``dead`` and what follows are read after the drain."""

    sent: dict[str, Sent] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    delivered: list[Delivered] = field(default_factory=list)
    disturbances: list[Disturbance] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    raw: dict[Who, list[Raw]] = field(default_factory=lambda: defaultdict(list))
    outbox: Counter[str] = field(default_factory=Counter)
    dead: list[Dead] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    drained_s: float | None = None
    before: Snapshot | None = None
    after: Snapshot | None = None
    leaks: list[str] = field(default_factory=list)
