"""Windows of one instance are bounded by its places, and cost nobody else a slot."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consumer.bodies import BULKY_BYTES
from consumer.places import Places
from shared.handlers.chosen import Pool
from tests.support.slots import Fake, Slots

LIMITS = {"one": 1, "two": 2}
POOL = ("threads", 2)
"""What the instances "two" and "pooled" share."""


def limit_of(instance: str, connection: str | None) -> int | None:
    """The limits of these tests."""
    return LIMITS.get(instance, LIMITS.get(connection or ""))


def pool_of(instance: str, connection: str | None) -> Pool | None:
    """The pools of these tests."""
    return POOL if instance in {"two", "pooled"} else None


def new_slots() -> Slots:
    """Of a worker that has these limits, and no pool."""
    return Slots(Places(limit_of))


def test_a_full_instance_holds_no_slot_and_no_other_back() -> None:
    """Of its windows only so many are taken, and the other instances' instead of the rest."""
    slots = new_slots()
    slots.add(0, "one", "one", "free", "two", "two", "two", "free")
    assert slots.take(4) == [0, 2, 3, 6]
    assert slots.take(4) == [4]
    assert not slots.turns, "what has no place does not wait for a slot"


def test_a_place_that_comes_back_is_the_next_ones() -> None:
    """In their order, before what came later."""
    slots = new_slots()
    slots.add(0, *["one"] * 4)
    order = []
    for _ in range(4):
        (taken,) = slots.take(9)
        order.append(taken)
        slots.add(0, "one")
        slots.end(taken)
        assert slots.turns
    assert order == [0, 1, 2, 3]


def test_a_place_is_not_taken_without_a_slot() -> None:
    """What has a place again waits like the others, and can be told to."""
    slots = new_slots()
    slots.add(0, "one", "one")
    assert slots.take(9) == [0]
    slots.end(0)
    assert slots.take(0) == []
    assert slots.take(1) == [1]


def test_a_place_that_comes_back_is_no_privilege() -> None:
    """With few slots instances take turns, whatever they waited for."""
    slots = new_slots()
    slots.add(0, "one", "one", "free", "one", "free")
    assert slots.take(3) == [0, 2, 4]
    slots.add(0, "free", "free", "free")
    slots.end(0)
    order = []
    for _ in range(5):
        (taken,) = slots.take(1)
        slots.end(taken)
        order.append(taken)
    assert order == [5, 1, 6, 3, 7]


def test_an_account_behind_a_connection_has_the_connections_limit() -> None:
    """Each account that nobody names has so many places of its own."""
    slots = new_slots()
    slots.add(0, "a", "a", "b", connection="one")
    assert slots.take(9) == [0, 2]


def test_instances_that_share_a_pool_have_no_more_than_it_has() -> None:
    """A place of one is the other's next, and none of somebody else's is."""
    slots = Slots(Places(lambda _instance, _connection: None, pool_of))
    slots.add(0, "two", "two", "pooled", "free", "pooled")
    assert slots.take(9) == [0, 2, 3]
    slots.end(3)
    assert slots.take(9) == []
    slots.end(0)
    assert slots.take(9) == [1]
    slots.end(2)
    assert slots.take(9) == [4]


def test_instances_of_a_pool_take_turns() -> None:
    """Who asks again comes behind those who wait, also when it asks before they were called."""
    slots = Slots(Places(lambda _instance, _connection: None, lambda *_whose: ("threads", 1)))
    slots.add(0, *["flood"] * 5, "first", "second")
    order = slots.take(9)
    while len(order) < 7:
        slots.end(order[-1])
        slots.add(0, "flood")
        order += slots.take(1)
    assert order == [0, 5, 6, 1, 2, 3, 4]


def test_who_was_called_is_passed_by_nobody_who_asks_first_now() -> None:
    """With few slots its turn comes later than a new one's, and its place is kept until then."""
    slots = Slots(Places(lambda _instance, _connection: None, lambda *_whose: ("threads", 1)))
    slots.add(0, "running", "called")
    assert slots.take(9) == [0]
    slots.add(0, "new")
    slots.end(0)
    assert slots.take(1) == [1]
    slots.end(1)
    assert slots.take(1) == [2]


def test_who_was_called_and_has_no_place_of_its_own_makes_room() -> None:
    """What it was promised of the pool goes to the next one that waits for it."""
    slots = Slots(Places(lambda name, _: 1 if name == "one" else None, lambda *_whose: POOL))
    slots.add(0, "a", "b")
    assert slots.take(9) == [0, 1]
    for size in (10, BULKY_BYTES + 1):
        slots.put(0, Fake("one", window_bytes=size))
    slots.add(0, "c")
    assert slots.take(9) == []
    slots.end(0)
    slots.end(1)
    first, second = slots.take(9)
    assert (first in {2, 3}, second) == (True, 4)
    slots.end(first)
    assert slots.take(9) == [5 - first]


def test_a_promise_that_nobody_keeps_is_the_next_ones() -> None:
    """A partition is gone with the windows that were called for: others have the place."""
    slots = Slots(Places(lambda _instance, _connection: None, lambda *_whose: ("threads", 1)))
    slots.add(0, "running")
    assert slots.take(9) == [0]
    slots.add(0, "gone")
    slots.add(1, "here")
    assert slots.take(9) == []
    slots.lose(0)
    slots.end(0)
    assert slots.take(9) == [2]


def test_an_orphan_has_the_place_that_an_empty_line_was_called_to() -> None:
    """In the same round: nothing is in hand any more whose end could bring another one."""
    slots = new_slots()
    slots.add(0, "one", "one")
    assert slots.take(9) == [0]
    slots.put(0, Fake("one", orphaned=True))
    assert slots.take(9, orphan=True) == []
    slots.queues[0].withdraw(lambda waiting: waiting.number == 1)
    slots.end(0)
    assert slots.take(9, orphan=True) == [2]


def test_an_orphan_that_has_to_wait_for_another_one_keeps_no_place() -> None:
    """They run one at a time, and other windows have the threads meanwhile."""
    slots = Slots(Places(limit_of, pool_of))
    slots.add(0, "pooled", "pooled")
    assert slots.take(9) == [0, 1]
    slots.put(0, Fake("two", orphaned=True))
    slots.put(0, Fake("pooled", orphaned=True))
    slots.add(0, "pooled")
    assert slots.take(9, orphan=True) == []
    slots.end(0)
    assert slots.take(9, orphan=True) == [2]
    slots.end(1)
    assert slots.take(9) == [4]
    slots.end(2)
    assert slots.take(9, orphan=True) == [3]


def test_places_of_a_pool_stand_not_unused_for_want_of_room() -> None:
    """Bulky windows that were called to them while there is none: one waits there, not all."""
    slots = Slots(Places(lambda _instance, _connection: None, lambda *_whose: ("threads", 4)))
    slots.add(0, *["a"] * 4)
    assert slots.take(9) == [0, 1, 2, 3]
    for name in "bcde":
        slots.put(0, Fake(name, window_bytes=BULKY_BYTES + 1))
    slots.add(0, *["f"] * 3)
    assert slots.take(9) == []
    for number in range(4):
        slots.end(number)
    assert slots.take(9, 0) == [8, 9, 10]
    slots.end(8)
    assert slots.take(9) == [4]
    slots.end(4)
    assert slots.take(9) == [5]


def test_a_bulky_window_that_was_called_is_not_forgotten() -> None:
    """However many others come meanwhile, its place is kept for when there is room again."""
    slots = Slots(Places(lambda _instance, _connection: None, lambda *_whose: ("threads", 1)))
    slots.add(0, "a")
    assert slots.take(9) == [0]
    slots.put(0, Fake("b", window_bytes=BULKY_BYTES + 1))
    slots.add(0, *["c"] * 9)
    assert slots.take(9) == []
    slots.end(0)
    assert slots.take(9, 0) == []
    assert slots.take(9) == [1]


class Worker:
    """Two partitions that share places, as the dispatcher treats them."""

    def __init__(self) -> None:
        self.slots = Slots(Places(limit_of, pool_of))
        self.in_hand: deque[int] = deque()
        self.started: list[int] = []

    def add(self, partition: int, instance: str, orphaned: bool, window_bytes: int) -> None:
        """A window is closed."""
        one = Fake(instance, orphaned=orphaned, window_bytes=window_bytes)
        self.slots.put(partition, one)

    def take(self, limit: int) -> None:
        """Whoever may starts."""
        fakes = self.slots.fakes
        orphan = not any(fakes[number].orphaned for number in self.in_hand)
        taken = self.slots.take(limit, 1, orphan=orphan)
        self.in_hand.extend(taken)
        self.started.extend(taken)
        held = Counter(fakes[number].instance for number in self.in_hand)
        assert all(held[name] <= limit for name, limit in LIMITS.items())
        assert held["two"] + held["pooled"] <= POOL[1]

    def end(self, at: int) -> None:
        """A window ends, and who waits for its slot or its place is served."""
        if not self.in_hand:
            return
        self.in_hand.rotate(-at)
        self.slots.end(self.in_hand.popleft())
        if self.slots.turns:
            self.take(2)


KINDS = [("one", False, 10), ("two", False, 10), ("free", False, 10), ("pooled", False, 10)]
KINDS += [("one", True, 10), ("two", True, 10)]
KINDS += [("two", False, BULKY_BYTES + 1), ("pooled", False, BULKY_BYTES + 1)]
PARTITION = st.integers(0, 1)
STEPS = st.lists(
    st.builds(lambda at, kind: ("add", at, *kind), PARTITION, st.sampled_from(KINDS))
    | st.tuples(st.just("take"), st.integers(0, 3))
    | st.tuples(st.just("end"), st.integers(0, 9)),
    max_size=60,
)


@given(STEPS)
def test_limits_hold_and_everything_starts(steps: list[tuple[Any, ...]]) -> None:
    """
    Over two partitions and any order of events no instance has more in hand than its places, no
    pool of several instances more than its own, an instance's windows of a kind and a partition
    start in their order, and whoever is told goes on until nothing is left.
    """
    worker = Worker()
    for what, *details in steps:
        getattr(worker, what)(*details)
    worker.take(9)
    while worker.in_hand:
        worker.end(0)
    fakes = worker.slots.fakes
    assert sorted(worker.started) == list(range(len(fakes)))
    for partition in (0, 1):
        for kind in KINDS:
            order = [
                number
                for number in worker.started
                if (one := fakes[number]).partition == partition
                and (one.instance, one.orphaned, one.window_bytes) == kind
            ]
            assert order == sorted(order)
