"""
What is told of a clinic's queue: values, and what follows from them. Pure.

Numbers are given and called in the same order, so three of them tell who waits: the last one
given, the last one called, and the one being served, which is the last one called or nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any


class PlaceState(StrEnum):
    """Where a user stands; ``UNKNOWN``: has no number since the last reset."""

    WAITING = "waiting"
    SERVING = "serving"
    SERVED = "served"
    UNKNOWN = "unknown"


class Change(StrEnum):
    """What an event tells of."""

    ENTERED = "entered"
    DONE = "done"
    RESET = "reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A user's number, and how many wait before them; both None for a user without a number."""

    number: int | None
    ahead: int | None
    state: PlaceState


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """
    A queue as everybody may see it. Two are equal if nobody could tell one from the other.

    ``finished`` and ``service_ms``: how many were served to the end since the last reset, and how
    long that took together.
    """

    clinic: str
    last: int = 0
    called: int = 0
    serving: int | None = None
    finished: int = 0
    service_ms: int = 0
    user: Place | None = None

    @classmethod
    def of(cls, clinic: str, numbers: Sequence[Any], user: Place | None = None) -> Status:
        """From the five numbers that scripts and events hold; 0 is served where nobody is."""
        last, called, serving, finished, service_ms = map(int, numbers)
        return cls(
            clinic=clinic,
            last=last,
            called=called,
            serving=serving or None,
            finished=finished,
            service_ms=service_ms,
            user=user,
        )

    @property
    def waiting(self) -> int:
        """How many have a number and were not called yet."""
        return self.last - self.called

    @property
    def average_service_s(self) -> float | None:
        """From being called to being finished; None before the first one was."""
        return round(self.service_ms / self.finished / 1000, 3) if self.finished else None

    @property
    def estimated_wait_s(self) -> float | None:
        """
        For who enters now: an average for each who waits, and one for who is being served.

        Service times scatter so widely that who was served for a while is, on average, not much
        nearer to the end. None where there is no average yet.
        """
        average_s = self.average_service_s
        if average_s is None:
            return None
        return round(average_s * (self.waiting + (self.serving is not None)), 3)

    def upcoming(self, count: int) -> list[int]:
        """The next numbers that will be called, ``count`` at most."""
        return list(range(self.called + 1, min(self.last, self.called + count) + 1))

    def place_of(self, number: int) -> Place:
        """Where the user with ``number`` stands; 0: they have none."""
        if not number:
            return Place(number=None, ahead=None, state=PlaceState.UNKNOWN)
        state = PlaceState.WAITING if number > self.called else PlaceState.SERVED
        if number == self.serving:
            state = PlaceState.SERVING
        return Place(number=number, ahead=max(0, number - self.called - 1), state=state)

    def face(self) -> dict[str, Any]:
        """As HTTP and events tell it; ``user`` only where one was asked for."""
        told: dict[str, Any] = {
            "clinic": self.clinic,
            "serving": self.serving,
            "last": self.last,
            "waiting": self.waiting,
            "average_service_s": self.average_service_s,
            "estimated_wait_s": self.estimated_wait_s,
        }
        if self.user is not None:
            place = self.user
            told["user"] = {"number": place.number, "ahead": place.ahead, "state": place.state}
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """``already``: the number is of an earlier call, and nothing has changed."""

    clinic: str
    user: str
    number: int
    ahead: int
    waiting: int
    already: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """
    What ``done`` and ``reset`` led to.

    ``finished``: the number that was being served, None if none was. ``waited_ms``: how long who
    was called had waited, None if nobody was.
    """

    status: Status
    finished: int | None = None
    waited_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """
    What was between two resets, under the date on which the first user entered.

    ``served``: were called; ``unserved``: were still waiting at the reset.
    """

    date: date
    began_ms: int
    ended_ms: int
    last: int
    served: int
    unserved: int
    average_service_s: float | None
    average_wait_s: float | None

    def face(self) -> dict[str, Any]:
        """As HTTP tells it."""
        return {
            "date": self.date.isoformat(),
            "began_at": self.began_ms,
            "ended_at": self.ended_ms,
            "last": self.last,
            "served": self.served,
            "unserved": self.unserved,
            "average_service_s": self.average_service_s,
            "average_wait_s": self.average_wait_s,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    One change of a queue, and all of it after the change; no user is in it.

    ``number``: given (entered), finished by this (done; 0: nobody was being served), or 0 (reset).
    ``seq`` counts a clinic's events from 1.
    """

    id: str
    change: Change
    number: int
    seq: int
    at_ms: int
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The event that was asked for is not kept any more: nobody knows what came behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A queue at one moment, and the id of the event that led to it; ``0-0``: there was none."""

    status: Status
    event_id: str
