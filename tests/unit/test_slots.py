"""Slots of sends: bounded for all and for each, and nobody waits for a stuck one's."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.slots import SendSlots


class Senders:
    """Sends that begin when they get a slot, and end when they are told to."""

    def __init__(self, slots: SendSlots) -> None:
        self._slots = slots
        self.begun: list[str] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def ask(self, *names: str) -> None:
        """Sends called ``<instance><number>`` ask for a slot, in this order."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._send(name))
            await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        """One has ended."""
        self._ends[name].set()
        await self._tasks.pop(name)
        await asyncio.sleep(0)

    async def cancel(self, name: str) -> None:
        """One is cancelled, and as it leaves nobody has run in between."""
        self._tasks[name].cancel()
        with pytest.raises(asyncio.CancelledError):
            await self._tasks.pop(name)
        await asyncio.sleep(0)

    def at_hand(self) -> list[str]:
        """Those that wait or are on their way."""
        return list(self._tasks)

    async def _send(self, name: str) -> None:
        async with self._slots.of(name[0]):
            self.begun.append(name)
            await self._ends[name].wait()


async def test_a_stuck_instance_keeps_no_other_waiting() -> None:
    """Whatever the others hold, the first of each begins at once."""
    senders = Senders(SendSlots(each=2, shared=2))
    await senders.ask("a1", "a2", "a3", "b1", "c1", "b2")
    assert senders.begun == ["a1", "a2", "b1", "c1"]


async def test_an_instance_has_only_its_own() -> None:
    """Beyond ``each`` it waits for its own ends, in the order of asking."""
    senders = Senders(SendSlots(each=2, shared=100))
    await senders.ask("a1", "a2", "a3", "a4")
    assert senders.begun == ["a1", "a2"]
    await senders.end("a2")
    await senders.end("a1")
    assert senders.begun == ["a1", "a2", "a3", "a4"]


async def test_what_is_free_goes_round() -> None:
    """An instance that waits with many sends does not get every slot."""
    senders = Senders(SendSlots(each=10, shared=3))
    await senders.ask("a1", "a2", "b1", "a3", "a4", "b2", "b3")
    assert senders.begun == ["a1", "a2", "b1"]
    await senders.end("a1")
    await senders.end("a2")
    await senders.end("b1")
    assert sorted(senders.begun[3:]) == ["a3", "a4", "b2"]


async def test_an_instance_whose_last_send_ends_goes_on_at_once() -> None:
    """Also when what it gave back is another one's, which keeps it: its first is its own."""
    senders = Senders(SendSlots(each=10, shared=2))
    await senders.ask("a1", "b1", "b2", "a2", "a3")
    await senders.end("a1")
    assert senders.begun == ["a1", "b1", "b2", "a2"]
    await senders.end("a2")
    assert senders.begun[4:] == ["a3"]


@pytest.mark.parametrize("late", [False, True])
async def test_who_is_cancelled_takes_no_slot_along(late: bool) -> None:
    """Neither while it waits, nor in the moment in which it is given one."""
    senders = Senders(SendSlots(each=1, shared=1))
    await senders.ask("a1", "a2", "a3")
    if late:
        senders._ends["a1"].set()
        await asyncio.sleep(0)
    await senders.cancel("a2")
    if not late:
        await senders.end("a1")
    assert senders.begun == ["a1", "a3"]
    await senders.end("a3")
    await senders.ask("a4", "b1")
    assert senders.begun[2:] == ["a4", "b1"]


async def test_a_failure_gives_the_slot_back() -> None:
    """Whatever ends the block."""
    slots = SendSlots(each=1, shared=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="x"):
            async with slots.of("a"):
                raise ValueError("x")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(slots.of("a"))


STEPS = st.lists(
    st.tuples(st.just("ask"), st.sampled_from("abcde"))
    | st.tuples(st.sampled_from(["end", "cancel"]), st.integers(0, 30)),
    max_size=60,
)


@given(STEPS, st.integers(1, 3), st.integers(1, 5))
def test_nobody_waits_who_may_begin(
    steps: list[tuple[str, str | int]], each: int, shared: int
) -> None:
    """In any order of events; and no instance has more than its own, nor all more than all."""

    async def run() -> None:
        senders = Senders(SendSlots(each=each, shared=shared))
        asked: list[str] = []
        for what, detail in steps:
            if isinstance(detail, str):
                asked.append(f"{detail}{len(asked)}")
                await senders.ask(asked[-1])
            elif left := [name for name in asked if name in senders.at_hand()]:
                name = left[detail % len(left)]
                if what == "cancel":
                    await senders.cancel(name)
                elif name in senders.begun:
                    await senders.end(name)
            at_hand = senders.at_hand()
            held = Counter(name[0] for name in at_hand if name in senders.begun)
            assert all(count <= each for count in held.values())
            assert held.total() <= shared - 1 + len(held)
            for name in at_hand:
                if name not in senders.begun:
                    assert held[name[0]], "its first is its own"
                    assert held[name[0]] == each or held.total() >= shared
        while begun := [name for name in senders.at_hand() if name in senders.begun]:
            await senders.end(begun[0])
        assert not senders.at_hand()

    asyncio.run(run())
