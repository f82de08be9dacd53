"""
The ledger and the oracle of the state machine of two workers: what was written, started, finished.

The oracle of the windows is the naive cutter over the whole history; the ledger is kept outside
the store.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import defaultdict
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from consumer.answers import StartRequest
from consumer.bodies import Absent, load_windows
from ops.chaos.asking import Asks
from ops.chaos.cutter import Raw, cut_naively
from shared.model import Conversation, EntryId, Window, WindowId, WorkerId
from shared.window import Rules
from tests.support.owner import Owner

USERS: tuple[Conversation, ...] = (("shop", "ann"), ("shop", "bob"), ("clinic", "ann"))


class HandoverLedger(RuleBasedStateMachine):
    """What a store must offer, and what must be true of the windows that it hands out."""

    cutting: Rules
    read_ahead: int
    held_bytes: int

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.history: defaultdict[Conversation, list[Raw]] = defaultdict(list)
        self.finished: defaultdict[Conversation, list[tuple[str, ...]]] = defaultdict(list)
        self.extents: dict[WindowId, tuple[str, ...]] = {}
        self.workers: list[Owner] = []
        self.worker_count = 0

    # What a store must offer

    @abstractmethod
    def make_store(self, worker: WorkerId) -> Any:
        """A store that speaks for ``worker``."""

    @abstractmethod
    async def append(self, conversation: Conversation, number: int, asks: Asks) -> EntryId:
        """Put the user's ``number``-th message into its stream."""

    @abstractmethod
    async def replay(self, conversation: Conversation, number: int) -> EntryId:
        """Hand a dead window over again, as the user's ``number``-th entry."""

    @abstractmethod
    async def pass_time(self, span_ms: int) -> None:
        """Let time go by, if it is ours to move."""

    @abstractmethod
    def now_s(self) -> float:
        """The worker's monotonic clock."""

    @abstractmethod
    async def redis_now_ms(self) -> int:
        """Redis's clock."""

    @abstractmethod
    async def acquire(self, worker: WorkerId) -> int:
        """The acquire script."""

    @abstractmethod
    async def expire_lease(self) -> None:
        """Redis has forgotten who owns the partition."""

    @abstractmethod
    async def check_empty(self) -> None:
        """Everything is finished: nothing is left in streams, pending lists and records."""

    def run(self, coroutine: Any) -> Any:
        """Steps are synchronous, the product is not. A runner would set up signals each time."""
        return self.runner.get_loop().run_until_complete(coroutine)

    # What must be true

    def new_worker(self) -> Owner:
        """A process that never was: its id is new."""
        self.worker_count += 1
        worker = WorkerId(f"worker-{self.worker_count}")
        store = self.make_store(worker)
        return Owner(worker, store, lambda _, __: self.cutting, self.read_ahead, self.held_bytes)

    def live(self) -> set[WorkerId]:
        """Who has a worker key."""
        return {owner.worker for owner in self.workers}

    def note_start(self, request: StartRequest) -> None:
        """A window is in hand: it is the user's first unfinished one, whole, closed, and frozen."""
        window = request.window
        extent = tuple(str(entry.id) for entry in window.entries)
        assert self.extents.setdefault(window.id, extent) == extent, "one id, two extents"
        in_hand = {token for owner in self.workers for token in owner.in_hand}
        assert request.replaces not in in_hand - {request.token}, "taken from a live handler"
        self.check_cut(window)

    def check_cut(self, window: Window) -> None:
        """It is the one that the oracle cuts next."""
        extent = tuple(str(entry.id) for entry in window.entries)
        done = len(self.finished[window.conversation])
        now_ms = self.run(self.redis_now_ms())
        naive = cut_naively(self.history[window.conversation], self.cutting, now_ms)
        assert len(naive) > done, "a window has started before it was closed"
        members, reason, due_ms = naive[done]
        assert extent == tuple(f"{raw.ms}-{raw.seq}" for raw in members)
        (whole,) = self.run(load_windows(self.workers[0].store, [window]))
        assert not isinstance(whole, Absent)
        texts = tuple(entry.message.message_id for entry in whole.members)
        assert texts == tuple(raw.message_id for raw in members), "it is not what they wrote"
        assert (window.closed_by.value, window.closed_at) == (reason, due_ms)

    def check_finished(self, who: Conversation) -> None:
        """A user's finished windows are all that the oracle cuts."""
        naive = cut_naively(self.history[who], self.cutting)
        expected = [tuple(f"{r.ms}-{r.seq}" for r in window.members) for window in naive]
        assert self.finished[who] == expected

    def is_done(self, who: Conversation) -> bool:
        """Whether every message of a user is in a finished window."""
        return sum(map(len, self.finished[who])) == len(self.history[who])
