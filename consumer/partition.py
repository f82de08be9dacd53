"""
The owner's loop over one partition: take over, then turn after turn until the lease is gone.

A turn waits (for a bell, a due time, an attempt's end), reads what is unread, and starts what is
closed. Whatever goes wrong between this loop and Redis sends it through the takeover again,
under a new epoch: there is one path of recovery, and it is always exercised.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import structlog

from consumer.alarm import Alarm
from consumer.answers import FinishCode, FinishRequest
from consumer.conversation import Phase, State
from consumer.dispatch import Dispatcher
from consumer.lease import Lease
from consumer.membership import Membership
from consumer.memory import Memory
from consumer.narrator import Narrator
from consumer.reader import Reader
from consumer.sender import PartitionSender
from consumer.store import PartitionStore
from consumer.takeover import judge, rebuild_memory
from shared.errors import BrokerRefused, BrokerUnavailable, Fenced
from shared.metrics import ConsumerMetrics
from shared.model import Conversation, WorkerId

IDLE_S = 600.0
"""An idle partition turns this often; that its bell is silent is looked at by ``silence``."""

UNREAD_LOOK_S = 0.1
"""While a stream stands unread (it is read ahead enough, or fails), no bell rings for others."""

BACKOFF_S = 0.1

log = structlog.get_logger()


class Partition:
    """One owned partition. ``run`` ends when the lease is lost or given back."""

    def __init__(
        self,
        lease: Lease,
        store: PartitionStore,
        sender: PartitionSender,
        dispatcher: Dispatcher,
        membership: Membership,
        metrics: ConsumerMetrics,
        *,
        read_ahead: int,
        retention_ms: int,
        new_memory: Callable[[], Memory],
        refresh: Callable[[], Awaitable[None]],
        acquire: Callable[[int], Awaitable[Lease | None]],
        on_lost: Callable[[Partition], None],
        narrator: Narrator | None,
    ) -> None:
        self.number = lease.partition
        self.lease = lease
        self.store = store
        self.sender = sender
        self.memory = new_memory()
        self.loaded = self.stopped = False
        self._dispatcher = dispatcher
        self._membership = membership
        self._metrics = metrics
        self._read_ahead = read_ahead
        self._retention_ms = retention_ms
        self._new_memory = new_memory
        self._refresh = refresh
        self._acquire = acquire
        self.on_lost = on_lost
        self._narrator = narrator
        self._reader = self._new_reader()
        self._alarm = Alarm()
        self._must_read, self._reply_waits = True, False
        self._foreign_s = 0.0
        self._restart_reason: str | None = None

    @property
    def epoch(self) -> int:
        """The epoch under which everything is fenced."""
        return self.lease.epoch

    def is_trusted(self) -> bool:
        """Whether windows and sends may begin: the memory is whole and the lease holds."""
        if not self.loaded or self.stopped or self._restart_reason is not None:
            return False
        return self.lease.trust.holds(time.monotonic())

    def wake(self) -> None:
        """Turn soon: an attempt or a send has ended."""
        self._alarm.ring()

    def load_replies(self) -> None:
        """A reply was put into the outbox: read it soon."""
        self._reply_waits = True
        self._alarm.ring()

    def ring(self, instance: str | None = None) -> None:
        """A bell rang, maybe for an instance: read soon, and look at what other workers hold."""
        self._must_read = True
        self._reader.ring(instance)
        self._foreign_s = 0.0
        self.sender.ring(instance)
        self._alarm.ring()

    def steer(self) -> None:
        """Other settings hold: obey them now."""
        self.memory.steer()
        self._alarm.ring()

    def restart(self, reason: str) -> None:
        """
        Forget the memory and take over again under a new epoch.

        Of a partition that is ours no more, what bears our name there is swept once more.
        """
        if self.stopped:
            self.on_lost(self)
            return
        if self._restart_reason is None:
            log.info("partition.restart", partition=self.number, reason=reason)
        self._restart_reason = self._restart_reason or reason
        self._alarm.ring()

    def step_down(self) -> None:
        """The lease is not ours any more: stop; running handlers go on."""
        if not self.stopped:
            self.stop()
            self.on_lost(self)

    def stop(self) -> None:
        """End ``run`` soon; nothing begins any more."""
        self.stopped = True
        self._alarm.ring()

    async def run(self) -> None:
        """Own the partition until stopped or fenced."""
        reason = "acquired"
        while not self.stopped:
            try:
                if reason != "acquired" and not await self._take_new_epoch():
                    return
                await self._take_over(reason)
                while not self.stopped and self._restart_reason is None:
                    await self._turn()
                reason = self._restart_reason or reason
                continue
            except Fenced:
                self._metrics.fenced_total.labels(call="partition").inc()
                self.step_down()
                return
            except (BrokerUnavailable, BrokerRefused) as error:
                reason = "disconnected"
                if self.loaded:
                    log.warning("partition.disconnected", partition=self.number, error=str(error))
            self.loaded = False
            await asyncio.sleep(BACKOFF_S * (0.5 + random.random()))

    async def _take_new_epoch(self) -> bool:
        self.loaded = False
        lease = await self._acquire(self.number)
        if lease is None:
            self.step_down()
            return False
        self.lease = lease
        if self.stopped:
            self.on_lost(self)
        return not self.stopped

    def renewed(self, lease: Lease) -> None:
        """The keeper has renewed the lease: what waited for trust may start."""
        regained = not self.lease.trust.holds(time.monotonic())
        self.lease = lease
        if regained:
            self.wake()

    async def _take_over(self, reason: str) -> None:
        began = time.perf_counter()
        self.loaded, self._restart_reason = False, None
        # What was known is forgotten first: both would be twice what a worker may hold.
        self.memory = self._new_memory()
        self._reader = self._new_reader()
        await self._refresh()
        memory = self._new_memory()
        empty = await rebuild_memory(self.store, self.epoch, memory, self._metrics)
        await self.sender.rebuild(self.epoch)
        live = await self._membership.survey()
        await self._finish_empty(memory, empty, set(live))
        now = ((await self.store.peek()).now_ms, time.monotonic())
        for state in list(memory.states.values()):
            if state.window is not None:
                self._judge(memory, state, set(live), now)
        memory.steer()  # something may have changed meanwhile
        memory.narrate(self._narrator)
        self.memory, self._reader = memory, self._new_reader(memory)
        self.loaded, self._must_read = True, True
        label = reason if reason in ("acquired", "disconnected") else "repair"
        self._metrics.takeovers_total.labels(reason=label).inc()
        self._metrics.takeover_seconds.observe(time.perf_counter() - began)
        log.debug("partition.loaded", partition=self.number, epoch=self.epoch)

    def _judge(
        self, memory: Memory, state: State, live: set[WorkerId], now: tuple[int, float]
    ) -> None:
        us, in_hand = self._membership.worker, self._dispatcher.running
        runs_alone = self._dispatcher.runs_alone
        judge(memory, state, us=us, live=live, in_hand=in_hand, now=now, runs_alone=runs_alone)

    async def _finish_empty(
        self, memory: Memory, empty: list[Conversation], live: set[WorkerId]
    ) -> None:
        """A record whose entries somebody deleted: there is nothing to hand over any more."""
        for conversation in empty:
            record = memory.states[conversation].record
            assert record is not None
            if record.token in self._dispatcher.running:
                memory.keep_running(memory.states[conversation])
                continue
            if record.worker in live and record.worker != self._membership.worker:
                memory.watch(memory.states[conversation])
                continue
            request = FinishRequest(
                conversation=conversation,
                first=record.ids[0],
                token=record.token,
                outcome="missing",
            )
            [answer] = await self.store.finish([request], self._retention_ms)
            if isinstance(answer, BrokerRefused):
                raise answer
            if answer is FinishCode.FINISHED:
                self._metrics.entries_missing_total.inc(len(record.ids))
                log.error("window.missing", window=record.window_id)
            memory.settle(memory.states[conversation])

    async def _turn(self) -> None:
        await self._wait()
        if self.stopped or self._restart_reason is not None:
            return
        now_s = time.monotonic()
        if self._must_read:
            self._must_read = False
            more = await self._reader.read(self.epoch)
            self._must_read = self._must_read or more
            self.sender.now_ms = self._reader.now_ms
            self._reply_waits |= self.sender.misses(self._reader.last_reply)
        if self._reply_waits:
            self._reply_waits = False
            await self.sender.load()
        if self._foreign_s <= now_s and (self.memory.foreign or self.sender.outbox.foreign):
            self._foreign_s = now_s + 1.0
            await self._look_at_foreign()
        if self.stopped or self._restart_reason is not None:
            return
        self.memory.wake_backoffs(time.monotonic())
        self._dispatcher.dispatch(self)
        self.sender.dispatch(self)

    async def _wait(self) -> None:
        wake_s = 0.0
        if not self._must_read:
            now_s = time.monotonic()
            wake_s = self.memory.next_wake_s(now_s, IDLE_S)
            wake_s = min(wake_s, self.sender.outbox.next_wake_s(now_s))
            if self.memory.unread:
                wake_s = min(wake_s, now_s + UNREAD_LOOK_S)
        if await self._alarm.wait(wake_s):
            self._must_read = True
        self._must_read = self._must_read or self._reader.goes_on(time.monotonic())

    async def _look_at_foreign(self) -> None:
        """Have the other workers' records changed, or have their workers died?"""
        states = [s for s in self.memory.foreign.values() if s.phase is Phase.FOREIGN]
        records = await self.store.records([s.key for s in states]) if states else []
        live = set(await self._membership.survey())
        now = ((await self.store.peek()).now_ms, time.monotonic())
        for state, record in zip(states, records, strict=True):
            if record is None:
                self.memory.settle(state)
            elif state.record is None or state.record.ids != record.ids:
                self.restart("another worker's window changed")
            elif state.window is None:
                if record.worker not in live:
                    self.restart("another worker's window has no entries")
            else:
                state.record = record
                self._judge(self.memory, state, live, now)
        await self.sender.look_at_foreign(live)

    def _new_reader(self, memory: Memory | None = None) -> Reader:
        return Reader(self.store, memory or self.memory, self._read_ahead, self._metrics)
