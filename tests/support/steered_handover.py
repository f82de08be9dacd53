"""
The state machine of two workers and one partition, where somebody steers at the same time.

Each worker obeys what it has heard of, which may be older than what holds; a takeover hears. The
windows then depend on who has heard what when, so the oracle asks less of their sizes: each begins
where the user's one before ended, is as large as some rules allow, and is frozen once begun.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from typing_extensions import override

from consumer.answers import StartRequest
from consumer.conversation import State
from shared.model import ClosedBy, Conversation, Window, WorkerId
from shared.window import Rules
from tests.support.handover import HandoverMachine, slots
from tests.support.owner import Owner

INSTANCES = ("shop", "clinic")


@dataclass(slots=True)
class View:
    """What a worker has heard of last, or what holds."""

    rules: Rules
    paused: Collection[str] = ()


class SteeredOwner(Owner):
    """Obeys its own view."""

    def __init__(self, worker: WorkerId, store: Any, view: View, machine: SteeredMachine) -> None:
        self.view = view
        super().__init__(
            worker,
            store,
            lambda _, __: self.view.rules,
            machine.read_ahead,
            machine.held_bytes,
            lambda state: state.instance in self.view.paused,
        )

    def hear(self, view: View) -> None:
        """Something else holds, and is obeyed at once."""
        self.view = replace(view)
        if self.memory is not None:
            self.memory.steer()

    @override
    def take(
        self, limit: int, now_s: float, *, orphan: bool
    ) -> list[tuple[State, StartRequest, bool]]:
        taken = super().take(limit, now_s, orphan=orphan)
        assert not any(state.instance in self.view.paused for state, _, _ in taken), "it is paused"
        return taken

    def check_obeyed(self) -> None:
        """Nothing gathers where each message is to be alone; nothing is held back for nothing."""
        memory = self.memory
        if memory is None:
            return
        assert not (self.view.rules.pass_through and memory.open)
        assert all(state.instance in self.view.paused for state in memory.paused._held.values())


class SteeredMachine(HandoverMachine):
    """Nothing lost, doubled or reordered, and one window of a user at a time, whatever is set."""

    workers: list[SteeredOwner]  # type: ignore[assignment]

    @rule(
        mode=st.booleans(),
        max_messages=st.sampled_from([1, 2, 3, 50]),
        max_wait_ms=st.integers(2, 14),
        paused=st.sampled_from([(), (), ("shop",), ("clinic",), INSTANCES]),
        hears=st.sampled_from([(), (0,), (1,), (0, 1)]),
    )
    def steer(
        self,
        mode: bool,
        max_messages: int,
        max_wait_ms: int,
        paused: tuple[str, ...],
        hears: tuple[int, ...],
    ) -> None:
        """Somebody sets something; a worker hears of it now, or later."""
        before = self.held_rules()
        rules = replace(
            self.cutting,
            pass_through=mode,
            max_messages=max_messages,
            max_wait_ms=max_wait_ms,
            quiet_ms=min(self.cutting.quiet_ms, max_wait_ms),
        )
        self.cutting = rules
        before.append(rules)
        self.view = View(rules, paused)
        for slot in hears:
            self.hear(slot)

    @rule(slot=slots)
    def hear(self, slot: int) -> None:
        """A bell has rung for a worker."""
        self.workers[slot].hear(self.holds())

    @override
    def own(self, slot: int) -> None:
        self.hear(slot)
        super().own(slot)

    @invariant()
    def views_are_obeyed(self) -> None:
        """What a worker has heard of holds at once, also after a takeover."""
        for owner in self.workers:
            owner.check_obeyed()

    @override
    def new_worker(self) -> Owner:
        self.worker_count += 1
        worker = WorkerId(f"worker-{self.worker_count}")
        return SteeredOwner(worker, self.make_store(worker), replace(self.holds()), self)

    @override
    def check_cut(self, window: Window) -> None:
        history = self.history[window.conversation]
        done = sum(map(len, self.finished[window.conversation]))
        members = history[done : done + len(window.entries)]
        extent = [str(entry.id) for entry in window.entries]
        assert extent == [f"{raw.ms}-{raw.seq}" for raw in members], "not the user's next messages"
        allowed = max(rules.max_messages for rules in self.held_rules())
        assert len(members) <= allowed
        if window.closed_by in (ClosedBy.PASS_THROUGH, ClosedBy.REPLAY, ClosedBy.BYPASS):
            assert len(members) == 1

    @override
    def drain(self) -> None:
        self.view = View(self.cutting)
        super().drain()

    @override
    def check_finished(self, who: Conversation) -> None:
        flat = [entry_id for extent in self.finished[who] for entry_id in extent]
        assert flat == [f"{raw.ms}-{raw.seq}" for raw in self.history[who]]

    def holds(self) -> View:
        """What is set now."""
        if not hasattr(self, "view"):
            self.view = View(self.cutting)
        return self.view

    def held_rules(self) -> list[Rules]:
        """All that ever held."""
        if not hasattr(self, "ever"):
            self.ever = [self.cutting]
        return self.ever
