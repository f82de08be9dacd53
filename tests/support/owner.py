"""
A worker that owns a partition, step by step: what the loop and the dispatcher do, without tasks.

Memory, reader and takeover are the product's own; a state machine decides what happens when.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from consumer.answers import FinishCode, FinishRequest, StartAnswer, StartCode, StartRequest
from consumer.bodies import cost_bytes
from consumer.conversation import Phase, State
from consumer.memory import Memory
from consumer.paused import IsPaused, nothing_paused
from consumer.reader import Reader
from consumer.takeover import judge, rebuild_memory
from shared.errors import Fenced
from shared.metrics import ConsumerMetrics
from shared.model import Token, Window, WorkerId
from shared.record import Record
from shared.window import RulesOf, first_cut
from tests.support.turns import take_startable

METRICS = ConsumerMetrics()
RETENTION_MS = 300_000


class Owner:
    """One worker and one partition. ``in_hand``: the windows whose handlers run, by token."""

    def __init__(
        self,
        worker: WorkerId,
        store: Any,
        rules_of: RulesOf,
        read_ahead: int,
        held_bytes: int,
        is_paused: IsPaused = nothing_paused,
    ) -> None:
        self.worker = worker
        self.store = store
        self.epoch = 0
        self.memory: Memory | None = None
        self.must_restart = False
        self.in_hand: dict[Token, Window] = {}
        self._rules_of = rules_of
        self._read_ahead = read_ahead
        self._held_bytes = held_bytes
        self._is_paused = is_paused
        self._reader: Reader | None = None
        self._serial = 0

    async def take_over(self, epoch: int, live: Collection[WorkerId], now_s: float) -> None:
        """Forget everything and rebuild it from records and pending entries."""
        self.memory, self.epoch = None, epoch
        memory = Memory(self._rules_of, self._held_bytes, self._is_paused)
        try:
            empty = await rebuild_memory(self.store, epoch, memory, METRICS)
        except Fenced:
            return
        assert not empty, "a record without entries, though nobody deleted any"
        peek = await self.store.peek()
        for state in list(memory.states.values()):
            if state.window is not None:
                self._judge(memory, state, live, (peek.now_ms, now_s))
        self.memory, self.must_restart = memory, False
        self._reader = Reader(self.store, memory, self._read_ahead, METRICS)

    async def read(self) -> None:
        """One turn of the reader."""
        assert self._reader is not None
        try:
            await self._reader.read(self.epoch)
        except Fenced:
            self.memory = None

    def take(
        self, limit: int, now_s: float, *, orphan: bool
    ) -> list[tuple[State, StartRequest, bool]]:
        """What may start: the state, the request to send, whether its last attempt was orphaned."""
        memory = self.memory
        assert memory is not None
        memory.wake_backoffs(now_s)
        taken = []
        for state in take_startable(memory, limit, orphan=orphan):
            record = state.record
            if record is not None and record.worker == self.worker:
                token = record.token
            else:
                self._serial += 1
                token = Token(f"{self.worker}:{self.epoch}:{self._serial}")
            window = memory.window_to_start(state)
            assert token not in self.in_hand, "the same token is handled twice"
            self.in_hand[token] = window
            replaces = record.token if record is not None else None
            request = StartRequest(window=window, replaces=replaces, token=token)
            taken.append((state, request, state.orphaned))
        return taken

    async def send_start(self, epoch: int, requests: list[StartRequest]) -> list[StartAnswer]:
        """The start script, under whatever epoch it left with; none when it was fenced."""
        try:
            answers: list[StartAnswer] = await self.store.start(epoch, requests)
        except Fenced:
            return []
        return answers

    def settle_start(self, state: State, request: StartRequest, answer: StartAnswer | None) -> bool:
        """The answer (None: fenced or lost). True: the handler runs now."""
        memory = self.memory
        if answer is None or answer.code is not StartCode.STARTED:
            self.in_hand.pop(request.token)
            self.must_restart = True
            return False
        if memory is not None:
            record = Record(
                ids=tuple(entry.id for entry in request.window.entries),
                window_id=request.window.id,
                closed_by=request.window.closed_by,
                opened_at=request.window.opened_at,
                closed_at=request.window.closed_at,
                token=request.token,
                worker=self.worker,
                attempt=answer.attempt,
            )
            memory.started(state, request.window, record)
        return True

    async def finish(self, token: Token, outcome: str, value: bytes, calls: int) -> FinishCode:
        """The handler has answered; called again when an answer was lost."""
        window = self.in_hand[token]
        request = FinishRequest(
            conversation=window.conversation,
            first=window.entries[0].id,
            token=token,
            outcome=outcome,
            value=value,
        )
        codes: list[FinishCode] = [
            code for _ in range(calls) for code in await self.store.finish([request], RETENTION_MS)
        ]
        if codes[0] is FinishCode.FINISHED:
            assert set(codes[1:]) <= {FinishCode.ALREADY}
            if (found := self._find(token)) is not None:
                found[0].settle(found[1])
        else:
            assert len(set(codes)) == 1
            self.must_restart = self.must_restart or self._find(token) is not None
        del self.in_hand[token]
        return codes[0]

    async def postpone(
        self, token: Token, delay_ms: int, now_s: float, *, counts: bool, calls: int
    ) -> bool:
        """The handler has failed; called again when an answer was lost."""
        window = self.in_hand.pop(token)
        ours = {
            await self.store.postpone(window.conversation, token, delay_ms, counts=counts)
            for _ in range(calls)
        }
        assert len(ours) == 1
        found = self._find(token)
        if found is not None:
            (record,) = await self.store.records([window.conversation])
            if ours == {True}:
                assert record is not None
                found[0].postponed(found[1], record, now_s + delay_ms / 1000)
            else:
                self.must_restart = True
        return ours == {True}

    async def look_at_foreign(self, live: Collection[WorkerId], now_s: float) -> None:
        """Have the other workers' records changed, or have their workers died?"""
        memory = self.memory
        assert memory is not None
        states = [state for state in memory.foreign.values() if state.phase is Phase.FOREIGN]
        records = await self.store.records([state.key for state in states]) if states else []
        peek = await self.store.peek()
        for state, record in zip(states, records, strict=True):
            if record is None:
                memory.settle(state)
            else:
                state.record = record
                self._judge(memory, state, live, (peek.now_ms, now_s))

    async def sweep(self) -> None:
        """After a lost lease: clear our name from every record that we do not run."""
        records, _ = await self.store.running()
        for conversation, record in records.items():
            if record.worker == self.worker and record.token not in self.in_hand:
                await self.store.postpone(conversation, record.token, 0, counts=False)

    def check_counters(self) -> None:
        """Held, busy, open, queued and bytes are what the conversations add up to."""
        memory = self.memory
        if memory is None:
            return
        for instance, stream in memory.streams.items():
            states = [state for state in memory.states.values() if state.key[0] == instance]
            held = sum(len(s.entries) + (len(s.window.entries) if s.window else 0) for s in states)
            assert stream.held == held
            ids = [[entry.id for entry in state.entries] for state in states]
            assert ids == [sorted(set(of_one)) for of_one in ids]
            assert all(entry_id <= stream.newest for of_one in ids for entry_id in of_one)
            assert stream.busy == sum(state.phase is not Phase.OPEN for state in states)
            assert stream.open == sum(len(s.entries) for s in states if s.phase is Phase.OPEN)
        windows = [state.window.entries for state in memory.states.values() if state.window]
        parts = [*windows, *(state.entries for state in memory.states.values())]
        assert memory.held_bytes == sum(cost_bytes(entries) for entries in parts)
        assert memory.held_bytes <= self._held_bytes
        open_keys = {key for key, s in memory.states.items() if s.phase is Phase.OPEN and s.entries}
        assert set(memory.open) == open_keys
        for state in memory.open.values():
            assert state.rules is not None
            assert state.cut == first_cut(state.entries, state.rules)
        watched = {key for key, s in memory.states.items() if s.phase is Phase.FOREIGN}
        assert set(memory.foreign) == watched
        queues = [queue for kind in memory.startable._queues for queue in kind.values()]
        queued = [state for queue in queues for state in queue]
        assert len(memory.startable) == len(queued)
        assert len({id(state) for state in queued}) == len(queued), "queued twice"
        assert {state.phase for state in queued} <= {Phase.STARTABLE}
        startable = [s for s in memory.states.values() if s.phase is Phase.STARTABLE]
        assert len(queued) + len(memory.paused._held) == len(startable)

    def _judge(
        self, memory: Memory, state: State, live: Collection[WorkerId], now: tuple[int, float]
    ) -> None:
        judge(
            memory,
            state,
            us=self.worker,
            live=live,
            in_hand=self.in_hand,
            now=now,
            runs_alone=lambda _instance, _record: True,
        )

    def _find(self, token: Token) -> tuple[Memory, State] | None:
        window = self.in_hand.get(token)
        memory = self.memory
        if memory is None:
            return None
        states = [memory.states.get(window.conversation)] if window else memory.states.values()
        for state in states:
            ours = state and state.record and state.record.token == token
            if state and ours and state.phase is Phase.RUNNING:
                return memory, state
        return None
