"""A clinic's queue beside a plain model of one, and its events as a listener would follow them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from shared.connect import pipe_to
from shared.errors import RequestRefused
from shared.tickets import Event, Gap, Status, Tickets

CLINIC, OTHER_CLINIC = "north-wing", "south-wing"
WAITING_MAX = 5
T = TypeVar("T")

users = st.sampled_from(["ann", "bob", "cid", "أمل", "d e f", "9 9 9 9"])
ids = st.none() | st.sampled_from(["k1", "k2", "k3"])


@dataclass
class Queue:
    """What a person with a roll of numbers and a notebook would know."""

    given: list[str] = field(default_factory=list)
    called: int = 0
    is_serving: bool = False
    entered_with: dict[str, int] = field(default_factory=dict)
    used: set[tuple[str, str]] = field(default_factory=set)

    def number_of(self, user: str) -> int:
        """The newest one, 0 for none."""
        return max((n for n, who in enumerate(self.given, 1) if who == user), default=0)

    def state_of(self, number: int) -> str:
        """Of the user who holds it."""
        if not number:
            return "unknown"
        if number > self.called:
            return "waiting"
        return "serving" if number == self.called and self.is_serving else "served"

    @property
    def serving(self) -> int | None:
        """The number that is being served."""
        return self.called if self.is_serving else None

    @property
    def waiting(self) -> int:
        """How many were not called yet."""
        return len(self.given) - self.called


class QueueMachine(RuleBasedStateMachine):
    """Verbs in any order, with and without keys; another clinic beside it is never touched."""

    url = ""
    prefixes: Iterator[str] = iter(())

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.pipe = pipe_to(self.url, timeout_ms=10_000, name="machine")
        self.task = self.loop.create_task(self.pipe.run(), name="machine-pipe")
        self.tickets = Tickets(self.pipe, next(self.prefixes), waiting_max=WAITING_MAX)
        self.queue, self.days = Queue(), 0
        self.seen: list[tuple[str, Status]] = [("0-0", Status(clinic=CLINIC))]
        self.run(self.tickets.enter(OTHER_CLINIC, "ann"))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """To its end."""
        return self.loop.run_until_complete(work)

    @rule(user=users, key=ids)
    def enter(self, user: str, key: str | None) -> None:
        """Consecutive numbers; the same one again while waiting, being served, or with the key."""
        queue = self.queue
        known = queue.entered_with.get(key) if key else None
        has = queue.number_of(user)
        if known is not None and queue.given[known - 1] != user:
            self.refused("key_taken", user, key)
            return
        if known is None and queue.state_of(has) in ("waiting", "serving"):
            known = has
        if known is None and queue.waiting >= WAITING_MAX:
            self.refused("queue_full", user, key)
            return
        entered = self.run(self.tickets.enter(CLINIC, user, key))
        if known is None:
            queue.given.append(user)
        number = known or len(queue.given)
        if key:
            queue.entered_with[key] = number
        assert (entered.number, entered.already) == (number, known is not None)
        assert entered.ahead == max(0, number - queue.called - 1)
        assert (entered.user, entered.waiting) == (user, queue.waiting)

    def refused(self, code: str, user: str, key: str | None) -> None:
        """Nothing changes."""
        with pytest.raises(RequestRefused) as caught:
            self.run(self.tickets.enter(CLINIC, user, key))
        assert caught.value.code == code

    @rule(key=ids)
    def done(self, key: str | None) -> None:
        """First come, first called; a known key calls nobody."""
        queue, before = self.queue, self.queue.serving
        called = self.run(self.tickets.done(CLINIC, key))
        if key is None or ("done", key) not in queue.used:
            queue.is_serving = queue.called < len(queue.given)
            queue.called += queue.is_serving
            assert called.finished == before
        else:
            assert called.finished is None
        assert called.status.serving == queue.serving
        if key is not None:
            queue.used.add(("done", key))

    @rule(key=ids)
    def reset(self, key: str | None) -> None:
        """A new day, unless there was none, or the key is known."""
        is_known = key is not None and ("reset", key) in self.queue.used
        called = self.run(self.tickets.reset(CLINIC, key))
        if self.queue.given and not is_known:
            self.days += 1
            day = self.run(self.tickets.days(CLINIC))[-1]
            assert (day.last, day.served) == (len(self.queue.given), self.queue.called)
            assert day.unserved == self.queue.waiting
            self.queue = Queue()
        assert called.status.last == len(self.queue.given)
        if key is not None:
            self.queue.used.add(("reset", key))

    @invariant()
    def status_tells_what_is_so(self) -> None:
        """Of the queue, and of each user."""
        queue = self.queue
        for user in ("ann", "bob", "9 9 9 9", "nobody"):
            status = self.run(self.tickets.status(CLINIC, user))
            assert (status.serving, status.last) == (queue.serving, len(queue.given))
            assert status.waiting == queue.waiting
            assert status.user is not None
            number = queue.number_of(user)
            ahead = max(0, number - queue.called - 1) if number else None
            assert (status.user.number, status.user.ahead) == (number or None, ahead)
            assert status.user.state == queue.state_of(number)
        assert len(self.run(self.tickets.days(CLINIC))) == self.days
        assert self.run(self.tickets.status(OTHER_CLINIC)).last == 1
        snapshot = self.run(self.tickets.snapshot(CLINIC))
        if snapshot.event_id != self.seen[-1][0]:
            self.seen.append((snapshot.event_id, snapshot.status))
        assert snapshot.status == self.seen[-1][1], "a change without an event"

    def teardown(self) -> None:
        """Whoever comes back with any id that was ever told rebuilds what is so now."""
        try:
            for at, (event_id, state) in enumerate(self.seen):
                events = self.follow(event_id)
                assert [event.id for event in events] == [seen[0] for seen in self.seen[at + 1 :]]
                replay(state, events)
            replay_exactly(self.follow("0-0"))
        finally:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                self.run(self.task)  # type: ignore[arg-type]
            self.loop.close()

    def follow(self, event_id: str) -> list[Event]:
        """Page after page, as a listener reads them."""
        found: list[Event] = []
        while page := self.run(self.tickets.events_since(CLINIC, event_id, count=3)):
            assert not isinstance(page, Gap)
            found += page
            event_id = page[-1].id
        status = self.run(self.tickets.status(CLINIC))
        assert (found[-1].status if found else self.seen[-1][1]) == status
        return found


def replay(state: Status, events: list[Event]) -> None:
    """Each event follows from the state before it and what it says has happened."""
    for event in events:
        told = (event.status.last, event.status.called, event.status.serving)
        if event.change == "entered":
            assert event.number == state.last + 1
            assert told == (state.last + 1, state.called, state.serving)
        elif event.change == "done":
            assert event.number == (state.serving or 0)
            calls = state.called < state.last
            called = state.called + calls
            assert told == (state.last, called, called if calls else None)
        else:
            assert (event.change, told) == ("reset", (0, 0, None))
        assert event.status.waiting == event.status.last - event.status.called
        state = event.status


def replay_exactly(events: list[Event]) -> None:
    """From the first event on also the sums follow, by the times that events tell."""
    state, called_at = Status(clinic=CLINIC), 0
    for count, event in enumerate(events, 1):
        assert event.seq == count
        if event.change == "done":
            if event.number:
                service_ms = state.service_ms + event.at_ms - called_at
                state = replace(state, finished=state.finished + 1, service_ms=service_ms)
            called_at = event.at_ms
        elif event.change == "reset":
            state = Status(clinic=CLINIC)
        assert (event.status.finished, event.status.service_ms) == (
            state.finished,
            state.service_ms,
        )
        state = event.status


@pytest.mark.timeout(120)
def test_a_queue_keeps_its_promises(redis_url: str, prefix: str) -> None:
    """Numbers, order, keys, days and events, whatever is asked for in whatever order."""
    QueueMachine.url = redis_url
    QueueMachine.prefixes = (f"{prefix}-{number}" for number in itertools.count())
    run_state_machine_as_test(
        QueueMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
