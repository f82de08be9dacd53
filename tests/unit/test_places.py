"""Windows of one instance are bounded by its places, and cost nobody else a slot."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consumer.bodies import BULKY_BYTES
from consumer.places import Places
from consumer.startable import Startable
from shared.handlers.chosen import Pool

LIMITS = {"one": 1, "two": 2}
POOL = ("threads", 2)
"""What the instances "two" and "pooled" share."""


@dataclass(eq=False)
class Fake:
    """A conversation whose window may start."""

    instance: str
    number: int = 0
    connection: str | None = None
    orphaned: bool = False
    window_bytes: int = 10


def limit_of(instance: str, connection: str | None) -> int | None:
    """The limits of these tests."""
    return LIMITS.get(instance, LIMITS.get(connection or ""))


def pool_of(instance: str, connection: str | None) -> Pool | None:
    """The pools of these tests."""
    return POOL if instance in {"two", "pooled"} else None


def numbers(taken: list[Fake]) -> list[int]:
    """Which they are."""
    return [one.number for one in taken]


def test_a_full_instance_holds_no_slot_and_no_other_back() -> None:
    """Of its windows only so many are taken, and the next ones in the queue instead of the rest."""
    queue: Startable[Fake] = Startable()
    places = Places(limit_of)
    for number, instance in enumerate(["one", "one", "free", "two", "two", "two", "free"]):
        queue.add(Fake(instance, number))
    assert numbers(queue.take(4, 0, orphan=False, places=places)) == [0, 2, 3, 4]
    assert numbers(queue.take(4, 0, orphan=False, places=places)) == [6]
    assert len(queue) == 0, "what is parked does not wait for a slot"


def test_a_place_that_comes_back_is_the_next_ones() -> None:
    """In their order, before what came later, and the partition that waits is told."""
    queue: Startable[Fake] = Startable()
    places = Places(limit_of)
    for number in range(4):
        queue.add(Fake("one", number))
    order = []
    for number in range(4):
        (taken,) = queue.take(9, 0, orphan=False, places=places)
        order.append(taken.number)
        queue.add(Fake("one", 4 + number))
        places.wait(7)
        assert places.give_back("one", None) == {7}
    assert order == [0, 1, 2, 3]
    assert places.give_back("none waits here", None) == set()


def test_a_place_is_not_taken_without_a_slot() -> None:
    """What has a place again waits like the others, and can be told to."""
    queue: Startable[Fake] = Startable()
    places = Places(limit_of)
    queue.add(Fake("one", 0))
    queue.add(Fake("one", 1))
    assert numbers(queue.take(9, 0, orphan=False, places=places)) == [0]
    places.give_back("one", None)
    assert queue.take(0, 0, orphan=False, places=places) == []
    assert len(queue) == 1
    assert numbers(queue.take(1, 0, orphan=False, places=places)) == [1]


def test_a_place_that_comes_back_is_no_privilege() -> None:
    """With few slots, windows start in the order they came up, whatever they waited for."""
    queue: Startable[Fake] = Startable()
    places = Places(limit_of)
    for number, instance in enumerate(["one", "one", "free", "one", "free"]):
        queue.add(Fake(instance, number))
    assert numbers(queue.take(2, 0, orphan=False, places=places)) == [0, 2]
    places.give_back("one", None)
    assert queue.take(0, 0, orphan=False, places=places) == []
    queue.add(Fake("free", 5))
    order = []
    for _ in range(4):
        (taken,) = queue.take(1, 0, orphan=False, places=places)
        places.give_back(taken.instance, None)
        order.append(taken.number)
    assert order == [1, 3, 4, 5]


def test_an_account_behind_a_connection_has_the_connections_limit() -> None:
    """Each account that nobody names has so many places of its own."""
    queue: Startable[Fake] = Startable()
    places = Places(limit_of)
    for number, account in enumerate(["a", "a", "b"]):
        queue.add(Fake(account, number, connection="one"))
    assert numbers(queue.take(9, 0, orphan=False, places=places)) == [0, 2]


def test_instances_that_share_a_pool_have_no_more_than_it_has() -> None:
    """A place of one is the other's next, and a partition that waits for it is told."""
    queue: Startable[Fake] = Startable()
    places = Places(lambda _instance, _connection: None, pool_of)
    for number, instance in enumerate(["two", "two", "pooled", "free", "pooled"]):
        queue.add(Fake(instance, number))
    assert numbers(queue.take(9, 0, orphan=False, places=places)) == [0, 1, 3]
    places.wait(7)
    assert places.give_back("free", None) == set()
    assert places.give_back("two", None) == {7}
    assert numbers(queue.take(9, 0, orphan=False, places=places)) == [2]


class Worker:
    """Two partitions that share places, as the dispatcher treats them."""

    def __init__(self) -> None:
        self.queues: tuple[Startable[Fake], Startable[Fake]] = (Startable(), Startable())
        self.places = Places(limit_of, pool_of)
        self.in_hand: deque[Fake] = deque()
        self.added: list[tuple[int, Fake]] = []
        self.started: list[Fake] = []

    def add(self, partition: int, instance: str, orphaned: bool, window_bytes: int) -> None:
        """A window is closed."""
        one = Fake(instance, len(self.added), orphaned=orphaned, window_bytes=window_bytes)
        self.added.append((partition, one))
        self.queues[partition].add(one)

    def take(self, partition: int, limit: int) -> None:
        """A partition starts what it may."""
        orphan = not any(one.orphaned for one in self.in_hand)
        taken = self.queues[partition].take(limit, 1, orphan=orphan, places=self.places)
        self.places.wait(partition)
        self.in_hand.extend(taken)
        self.started.extend(taken)
        held = Counter(one.instance for one in self.in_hand)
        assert all(held[name] <= limit for name, limit in LIMITS.items())
        assert held["two"] + held["pooled"] <= POOL[1]

    def end(self, at: int) -> None:
        """A window ends, and who waits for its slot or its place is served."""
        if not self.in_hand:
            return
        self.in_hand.rotate(-at)
        told = self.places.give_back(self.in_hand.popleft().instance, None)
        for partition, queue in enumerate(self.queues):
            if partition in told or len(queue):
                self.take(partition, 2)


KINDS = [("one", False, 10), ("two", False, 10), ("free", False, 10), ("pooled", False, 10)]
KINDS += [("one", True, 10), ("two", True, 10), ("two", False, BULKY_BYTES + 1)]
PARTITION = st.integers(0, 1)
STEPS = st.lists(
    st.builds(lambda at, kind: ("add", at, *kind), PARTITION, st.sampled_from(KINDS))
    | st.tuples(st.just("take"), PARTITION, st.integers(0, 3))
    | st.tuples(st.just("end"), st.integers(0, 9)),
    max_size=60,
)


@given(STEPS)
def test_limits_hold_and_everything_starts(steps: list[tuple[Any, ...]]) -> None:
    """
    Over two partitions and any order of events no instance has more in hand than its places, no
    pool of several instances more than its own, an instance's
    windows of a kind start in their order, and whoever is told dispatches until nothing is left.
    """
    worker = Worker()
    for what, *details in steps:
        getattr(worker, what)(*details)
    worker.take(0, 9)
    worker.take(1, 9)
    while worker.in_hand:
        worker.end(0)
    assert sorted(numbers(worker.started)) == list(range(len(worker.added)))
    for partition in (0, 1):
        mine = {one.number for number, one in worker.added if number == partition}
        for kind in KINDS:
            order = [
                one.number
                for one in worker.started
                if (one.instance, one.orphaned, one.window_bytes) == kind and one.number in mine
            ]
            assert order == sorted(order)
