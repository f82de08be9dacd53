"""
From closed windows to finished ones: slots, starts, and what is in hand.

A handler slot comes first; then the start script writes the record; then the handler runs, at
most ``handler_timeout_ms``; then one script finishes the window or puts it off. A running
handler belongs to the worker, not to the partition: losing the lease does not touch it, for its
finish is guarded by its own token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from consumer.answers import StartAnswer, StartCode, StartRequest
from consumer.attempt import Attempts, DispatchSettings, Running
from consumer.bodies import BULKY_BYTES, HAND_BYTES, Absent, is_bare, load_windows
from consumer.conversation import State
from consumer.courtesy import Courtesy
from consumer.membership import Membership
from consumer.memory import Memory
from consumer.mute import Mutes
from consumer.owner import Owner
from consumer.places import Places
from consumer.settle import Settler
from consumer.startable import Startable
from consumer.turns import Turns
from shared.errors import BrokerRefused, BrokerUnavailable, Fenced
from shared.metrics import ConsumerMetrics
from shared.model import Message, Token, WorkerId
from shared.probe import Point, reach
from shared.record import Record

START_BATCH = 64
"""Windows per start script: Redis answers nobody else while it runs."""

log = structlog.get_logger()


class Dispatcher:
    """Runs the worker's windows; ``running`` is every token that is ours, by itself."""

    def __init__(
        self,
        worker: WorkerId,
        membership: Membership,
        settings: DispatchSettings,
        metrics: ConsumerMetrics,
        tasks: asyncio.TaskGroup,
        owner_of: Callable[[int], Owner | None],
        courtesy: Courtesy | None = None,
    ) -> None:
        self.running: dict[Token, Running] = {}
        self._worker = worker
        self._settings = settings
        self._membership = membership
        self._settler = Settler(tasks, settings, metrics, owner_of, self._settled)
        self._mutes = Mutes(tasks, settings.mute_ms_of, self._call, self._settler.settle)
        self._attempts = Attempts(settings, metrics, membership, self._mutes.decided, courtesy)
        self._metrics = metrics
        self._tasks = tasks
        self._owner_of = owner_of
        self._free = settings.slots
        places = None
        if settings.limit_of is not None:
            places = Places(settings.limit_of, settings.pool_of)
        self._turns: Turns[State] = Turns(self._startable_in, places)
        self._bulk_in_hand = 0
        self._orphan_running = False
        self._doubted: set[int] = set()
        self._will_serve = False
        self._serial = 0
        self._at_work = 0
        metrics.windows_running.set_function(lambda: self._at_work)

    async def run(self) -> None:
        """Hear of calls that end, until cancelled; then every call is cancelled."""
        await self._attempts.run()

    def dispatch(self, owner: Owner) -> None:
        """Windows may have come up: start what may start; the rest waits for a slot."""
        if not owner.is_trusted():
            return
        startable = owner.memory.startable
        if owner.number in self._doubted:
            self._doubted.discard(owner.number)
            startable.offer_all()
        self._turns.join(owner.number, startable.take_offers())
        self._serve()

    def _startable_in(self, number: int) -> Startable[State] | None:
        """What may start in a partition; of one that is in doubt nothing, until it dispatches."""
        owner = self._owner_of(number)
        if owner is None or not owner.is_trusted():
            self._doubted.add(number)
            return None
        return owner.memory.startable

    def _serve(self) -> None:
        """Give the free slots to whose turn it is, whatever partition they are from."""
        self._will_serve = False
        while self._free and self._turns:
            limit = min(self._free, START_BATCH)
            room_bytes = HAND_BYTES - self._bulk_in_hand
            taken = self._turns.take(limit, room_bytes, orphan=not self._orphan_running)
            if not taken:
                return
            by_partition: dict[int, list[State]] = {}
            for number, state in taken:
                by_partition.setdefault(number, []).append(state)
            for number, states in by_partition.items():
                owner = self._owner_of(number)
                assert owner is not None  # it was trusted a moment ago, and nobody ran since
                begun = [(state, self._begin(owner, state)) for state in states]
                start = self._start(owner, owner.epoch, owner.memory, begun)
                self._tasks.create_task(start, name=f"start-{number}")

    def runs_alone(self, first: Message, record: Record) -> bool:
        """
        Whether a window whose worker died with it may have killed it, or may not die once more;
        ``first`` is its first message, maybe bare.

        Such windows run one at a time, so that one poison does not take its neighbours along;
        all others at once, so that nobody waits for the handlers of everybody else.
        """
        in_process = self._settings.handler_of(first.instance, first.connection).in_process
        return in_process or record.attempt + 1 >= self._settings.retry.max_attempts

    def _begin(self, owner: Owner, state: State) -> Running:
        """Take a slot and a token, and enter both before any request leaves."""
        self._free -= 1
        record = state.record
        if record is not None and record.worker == self._worker:
            token = record.token
        else:
            self._serial += 1
            token = Token(f"{self._worker}:{owner.epoch}:{self._serial}")
        window = owner.memory.window_to_start(state)
        joins = self._membership.joins
        running = Running(window, window, token, owner.number, owner.store, state.orphaned, joins)
        running.error = record.error if record is not None else ""
        size = state.window_bytes
        running.bulk_bytes = size if size > BULKY_BYTES else 0
        self._bulk_in_hand += running.bulk_bytes
        self._orphan_running = self._orphan_running or state.orphaned
        self.running[token] = running
        return running

    def _end(self, running: Running) -> None:
        """Give slot and token back; who waits for one is served when all that end now have."""
        self.running.pop(running.token, None)
        self._free += 1
        self._bulk_in_hand -= running.bulk_bytes
        first = running.held.entries[0].message
        self._turns.give_back(first.instance, first.connection)
        if running.orphaned:
            self._orphan_running = False
        if self._turns and not self._will_serve:
            self._will_serve = True
            self._tasks.create_task(self._serve_soon(), name="serve")

    async def _serve_soon(self) -> None:
        """When all that end now have given their slots back, so that they start together."""
        self._serve()

    async def _start(
        self, owner: Owner, epoch: int, memory: Memory, begun: list[tuple[State, Running]]
    ) -> None:
        try:
            begun = await self._load(owner, memory, begun)
            requests = [
                StartRequest(
                    window=running.window,
                    replaces=state.record.token if state.record else None,
                    token=running.token,
                    error=running.error,
                )
                for state, running in begun
            ]
            answers = await owner.store.start(epoch, requests)
            reach(Point.START)
        except (BrokerUnavailable, BrokerRefused, Fenced) as error:
            for _, running in begun:
                self._end(running)
            if isinstance(error, Fenced):
                self._metrics.fenced_total.labels(call="start").inc()
                if owner.epoch == epoch:
                    owner.step_down()
            else:
                self._restart(owner, "start unanswered")
            return
        for (state, running), answer in zip(begun, answers, strict=True):
            if answer.code is StartCode.STARTED:
                self._started(owner, memory, state, running, answer)
            else:
                self._end(running)
                log.info("start.refused", window=running.window.id, code=answer.code.name)
                if owner.memory is memory:
                    owner.restart("start refused")

    async def _load(
        self, owner: Owner, memory: Memory, begun: list[tuple[State, Running]]
    ) -> list[tuple[State, Running]]:
        """Fetch what memory holds bare; gives those that are whole and may start."""
        absent = [one for one in begun if is_bare(one[1].held)]
        if not absent:
            return begun
        # bulky ones by themselves: what was fetched of one is let go before the next is decoded
        loads = [[one] for one in absent if one[1].bulk_bytes]
        loads.append([one for one in absent if not one[1].bulk_bytes])
        fetches = (load_windows(owner.store, [r.held for _, r in load]) for load in loads)
        for load, windows in zip(loads, await asyncio.gather(*fetches), strict=True):
            for one, window in zip(load, windows, strict=True):
                if not isinstance(window, Absent):
                    one[1].window = window
                    continue
                begun.remove(one)
                self._end(one[1])
                if window is Absent.ALL:  # as the start script would say
                    log.info("start.refused", window=one[1].held.id, code=StartCode.GONE.name)
                else:
                    log.warning("window.incomplete", window=one[1].held.id)
                if owner.memory is memory:
                    owner.restart("entries of a window are not there")
        return begun

    def _restart(self, owner: Owner, reason: str) -> None:
        """Whoever owns the partition now may wait for a token that has no handler any more."""
        owner.restart(reason)
        current = self._owner_of(owner.number)
        if current is not None and current is not owner:
            current.restart(reason)

    def _started(
        self, owner: Owner, memory: Memory, state: State, running: Running, answer: StartAnswer
    ) -> None:
        window = running.window
        running.attempt, running.delay_ms = answer.attempt, answer.delay_ms
        running.since, running.started_ms = answer.since, answer.now_ms
        running.is_muted = answer.is_muted
        running.started_s = time.monotonic()
        if state.record is None:
            self._metrics.windows_closed_total.labels(window.closed_by).inc()
            self._settings.say(
                "window.closed",
                window=window.id,
                reason=window.closed_by.value,
                count=len(window.members),
                instance=window.instance,
                user=window.user,
            )
            if not state.queued_behind:
                # nobody is late with what was paused, or is cut by rules that came later
                first = running.held.entries[0].message
                since = self._settings.steered_ms_of(first.instance, first.connection)
                late_s = max(0, answer.now_ms - max(window.closed_at, since)) / 1000
                self._metrics.window_lateness_seconds.observe(late_s)
        if owner.memory is memory:
            memory.started(state, running.held, running.record(self._worker))
        self._at_work += 1
        self._mutes.begin(running)

    def _call(self, running: Running) -> None:
        self._attempts.begin(running)

    def _settled(self, running: Running) -> None:
        self._at_work -= 1
        self._end(running)

    def cut_short(self) -> None:
        """Shutdown's end: running handlers stop now, and their attempts do not count."""
        for running in list(self.running.values()):
            self._attempts.cut_short(running)
