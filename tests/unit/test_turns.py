"""Handler slots go round over instances: who floods takes nobody else's turn."""

from __future__ import annotations

from collections import Counter
from itertools import cycle, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.bodies import BULKY_BYTES
from consumer.startable import Startable
from consumer.turns import OWN_TURN, Turns
from tests.support.slots import Fake, Slots

FLOOD = 1000
PARTITIONS = 4


def instances_of(slots: Slots, taken: list[int]) -> list[str]:
    """Whose windows they are."""
    return [slots.fakes[number].instance for number in taken]


def flooded() -> Slots:
    """One instance has a thousand windows that wait, in every partition."""
    slots = Slots()
    for number in range(FLOOD):
        slots.add(number % PARTITIONS, "flood")
    return slots


@pytest.mark.parametrize("partition", [0, PARTITIONS - 1, PARTITIONS])
def test_a_flood_stands_between_another_instance_and_a_slot_once(partition: int) -> None:
    """Whatever partition its window is in: one of the flood's starts before it, not a thousand."""
    slots = flooded()
    assert len(slots.take(64)) == 64
    slots.add(partition, "calm")
    assert instances_of(slots, slots.take(1) + slots.take(1)) == ["flood", "calm"]


def test_instances_take_turns_and_not_windows() -> None:
    """Each has one window of as many starts as there are instances, however many it has."""
    slots = flooded()
    for number in range(60):
        slots.add(number % PARTITIONS, "some", *["few"] * (number < 10))
    starts = instances_of(slots, [number for _ in range(30) for number in slots.take(1)])
    assert starts == list(islice(cycle(["flood", "some", "few"]), 30))
    assert Counter(instances_of(slots, slots.take(64))) == {"flood": 32, "some": 32}


def test_partitions_of_an_instance_take_turns() -> None:
    """Users of one partition do not wait for the end of another's, also beside other instances."""
    slots = flooded()
    for number in range(FLOOD):
        slots.add(number % PARTITIONS, "other")
    taken = [slots.take(2) for _ in range(16 * PARTITIONS)]
    served = Counter(
        (one.instance, one.partition) for two in taken for one in map(slots.fakes.__getitem__, two)
    )
    assert len(served) == 2 * PARTITIONS
    assert min(served.values()) >= 4


def test_no_partition_of_an_instance_waits_for_ever() -> None:
    """Though others are always served from another one that it has windows in, too."""
    slots = Slots()
    slots.add(0, *["first"] * FLOOD)
    slots.add(0, *["second"] * FLOOD)
    slots.add(1, "second")
    starts = [number for _ in range(2 * OWN_TURN) for number in slots.take(2)]
    assert 2 * FLOOD in starts


def test_what_starts_together_is_of_one_partition_where_it_can_be() -> None:
    """One script starts the windows of a partition: few partitions, few scripts."""
    slots = flooded()
    slots.add(1, *["other"] * 100)
    for _ in range(8):
        assert len({slots.fakes[number].partition for number in slots.take(32)}) <= 2


def test_users_of_an_instance_take_turns() -> None:
    """A user has one window at a time that may start, and comes last when the next one is due."""
    slots = Slots()
    slots.add(0, *["shop"] * 3)
    order = []
    for _ in range(9):
        (taken,) = slots.take(1)
        order.append(taken % 3)
        slots.put(0, Fake("shop"))
    assert order == [0, 1, 2] * 3


@pytest.mark.parametrize("bulky", [False, True])
def test_a_flood_of_one_kind_does_not_hold_up_the_other(bulky: bool) -> None:
    """Bulky windows and the others come by turns, and in each kind instances do."""
    slots = Slots()
    for number in range(FLOOD):
        slots.put(number % PARTITIONS, Fake("flood", window_bytes=BULKY_BYTES + 1))
        slots.put(number % PARTITIONS, Fake("flood"))
    slots.take(10, 10**9)
    slots.put(0, Fake("calm", window_bytes=BULKY_BYTES + bulky))
    assert "calm" in instances_of(slots, slots.take(4, 10**9))


def test_what_may_not_start_at_the_moment_costs_nobody_a_turn() -> None:
    """A partition in doubt is passed over, and joins again with all that it has."""
    queues: dict[int, Startable[Fake]] = {0: Startable(), 1: Startable()}
    sound = {1}
    turns: Turns[Fake] = Turns(lambda number: queues[number] if number in sound else None)
    for number, queue in queues.items():
        for instance in ("one", "two"):
            queue.add(Fake(instance, number))
        turns.join(number, queue.take_offers())
    assert [number for number, _ in turns.take(9, 0, orphan=False)] == [1, 1]
    assert not turns
    sound.add(0)
    queues[0].offer_all()
    turns.join(0, queues[0].take_offers())
    assert [number for number, _ in turns.take(9, 0, orphan=False)] == [0, 0]


NAMES = st.sampled_from("abcdef")
STEPS = st.lists(
    st.tuples(st.just("add"), st.integers(0, 2), NAMES, st.integers(1, 30))
    | st.tuples(st.just("take"), st.integers(1, 5)),
    max_size=40,
)


@given(STEPS)
def test_who_waits_is_passed_once_by_each_other_instance(
    steps: list[tuple[str, int] | tuple[str, int, str, int]],
) -> None:
    """While an instance has windows that wait, no other one starts twice between its starts."""
    slots = Slots()
    left: Counter[str] = Counter()
    passed: dict[str, Counter[str]] = {}

    def take(limit: int) -> None:
        for name in instances_of(slots, slots.take(limit)):
            left[name] -= 1
            passed[name] = Counter()
            for other in left:
                if other != name and left[other]:
                    passed[other][name] += 1
                    assert passed[other][name] <= 1

    for step in steps:
        if len(step) == 4:
            _, partition, name, count = step
            if not left[name]:
                passed[name] = Counter()
            left[name] += count
            slots.add(partition, *[name] * count)
        else:
            take(step[1])
    while slots.turns:
        take(3)
    assert not left.total()
