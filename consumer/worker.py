"""
One consumer process: a worker that owns partitions and runs their windows.

Two nested task groups make the order of shutdown a property of the code's shape: the outer one
keeps what handlers need (connections, leases, the worker's key), the inner one reads, handles
and sends, and ends first.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import lru_cache, partial

import aiohttp
import structlog

from consumer.attempt import DispatchSettings, Say
from consumer.bells import bells_on
from consumer.bodies import HELD_BYTES
from consumer.channels import channel_of
from consumer.courtesy import Courtesy
from consumer.dispatch import Dispatcher
from consumer.forgetting import ForgetKeeper
from consumer.keeper import LeaseKeeper
from consumer.lease import TIMEOUT, Lease
from consumer.membership import Membership, WorkerState, new_worker_id
from consumer.memory import Memory
from consumer.narrator import Narrator
from consumer.outbox import OutboxStore
from consumer.owner import Owner
from consumer.partition import Partition
from consumer.reclaimer import Reclaimer
from consumer.retry import retry_rules
from consumer.sender import PartitionSender
from consumer.sends import Sends, SendSettings, open_session
from consumer.silence import keep_looking
from consumer.steersman import RULES_CACHED, Steersman
from consumer.store import PartitionStore
from consumer.sweep import Sweeper
from consumer.telling import Teller, count_doing
from shared.connect import Pipe, blocking_pipe_to, pipe_to
from shared.durability import Durability, Level
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.handlers.chosen import Handlers
from shared.keys import Keys
from shared.metrics import ConsumerMetrics
from shared.on_human import mute_ms_of, mutes_anywhere
from shared.settings import Settings
from shared.steering_store import SteeringStore

COMMAND_TIMEOUT_MS = 5000
"""How long an answer of Redis is waited for, but for the keeper's: a quarter of the lease."""

POLL_S = 0.02
SWEEP_LIMIT_S = 2.0
"""How long a drain waits for Redis to take the leases back; they expire in any case."""

log = structlog.get_logger()


class _Drained(Exception):
    """Ends the inner group: what still runs in it is cancelled."""


class Worker:
    """Owns partitions and runs windows from ``run`` until ``stop`` is set; then drains."""

    def __init__(
        self,
        settings: Settings,
        redis_url: str,
        keys: Keys,
        metrics: ConsumerMetrics,
        *,
        say: Say | None = None,
    ) -> None:
        self.id = new_worker_id()
        self._settings = settings
        self._keys = keys
        self._metrics = metrics
        self._say: Say = say or log.debug
        lease_ms = settings.lease_ms
        self._pipe = pipe_to(redis_url, timeout_ms=COMMAND_TIMEOUT_MS, name="work")
        self._send_pipe = self._open_send_pipe(redis_url)
        self._keeper_pipe = pipe_to(redis_url, timeout_ms=round(lease_ms * TIMEOUT), name="lease")
        self._bell_pipe = blocking_pipe_to(redis_url, name="bell")
        self._membership = Membership(self._keeper_pipe, keys, self.id, lease_ms)
        self._handlers = Handlers(settings)
        self._keeper = LeaseKeeper(
            self._keeper_pipe, keys, self._membership, lease_ms, metrics, self._own
        )
        self._steersman = Steersman(settings, SteeringStore(self._pipe, keys), self._steer)
        self._forgetting = ForgetKeeper(self._pipe, keys, self._keeper.partitions)
        is_heard = say is not None or log.is_enabled_for(logging.DEBUG)
        self._narrator = Narrator(self._say, self._steersman.rules_of) if is_heard else None
        self._store_of: Callable[[int], PartitionStore] = lambda number: PartitionStore(
            self._pipe, keys.partition(number), self.id
        )
        self._outbox_of: Callable[[int], OutboxStore] = lambda number: OutboxStore(
            self._pipe, keys.partition(number), self.id, self._send_pipe
        )

    def _open_send_pipe(self, redis_url: str) -> Pipe:
        """
        What sends begin on: at ``replicas:N`` one that waits for the replicas, and which holds
        nothing else up; at ``memory`` and ``fsync`` the common one, for an answer is enough.
        """
        durability = Durability.parse(self._settings.durability)
        if durability.level is not Level.REPLICAS:
            return self._pipe
        return pipe_to(redis_url, timeout_ms=COMMAND_TIMEOUT_MS, name="send", durability=durability)

    def is_ready(self) -> bool:
        """Whether it has joined, and the others take it for alive."""
        return self._keeper.has_joined and self._membership.is_trusted(time.monotonic())

    async def run(self, stop: asyncio.Event) -> None:
        """
        Work until ``stop`` is set, then drain: leases at once, running handlers within
        ``drain_ms``, what is left is given back uncounted. After a crash instead, other workers
        take over when the leases have expired.
        """
        async with asyncio.TaskGroup() as outer, open_session() as session:
            pipes = {self._pipe, self._send_pipe, self._keeper_pipe, self._bell_pipe}
            kept = [outer.create_task(pipe.run(), name=f"pipe-{pipe.name}") for pipe in pipes]
            try:
                await self._work_until_drained(outer, session, stop)
                await self._leave()
            finally:
                await self._handlers.close()
                for task in kept:
                    task.cancel()

    async def _work_until_drained(
        self, outer: asyncio.TaskGroup, session: aiohttp.ClientSession, stop: asyncio.Event
    ) -> None:
        keeper = outer.create_task(self._keeper.run(), name="keeper")
        try:
            async with asyncio.TaskGroup() as inner:
                self._wire(inner, session)
                self._begin(inner)
                await stop.wait()
                await self._drain()
                raise _Drained
        except* _Drained:
            pass
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])

    def _wire(self, inner: asyncio.TaskGroup, session: aiohttp.ClientSession) -> None:
        settings, metrics = self._settings, self._metrics
        self._inner = inner
        self._bells = bells_on(self._bell_pipe, inner)
        mute_ms = lru_cache(maxsize=RULES_CACHED)(partial(mute_ms_of, settings))
        dispatching = self._dispatching(mute_ms if mutes_anywhere(settings) else None)
        channel = partial(channel_of, settings)
        # to send takes credentials, which only named instances have
        courtesy = Courtesy(inner, session, channel, metrics) if settings.instances else None
        self._dispatcher = Dispatcher(
            self.id, self._membership, dispatching, metrics, inner, self._owner_of, courtesy
        )
        sending = SendSettings(
            channel_of=channel,
            mute_ms_of=mute_ms,
            retention_ms=settings.retention_ms,
            loop_limit=settings.loop_limit,
            retry=retry_rules(settings),
            say=self._say,
        )
        take_back = courtesy.take_back if courtesy is not None else None
        self._sends = Sends(self.id, self._membership, sending, metrics, session, inner, take_back)
        self._sweeper = Sweeper(
            inner,
            self._keeper,
            self._membership,
            self._dispatcher,
            self._sends,
            self._store_of,
            self._outbox_of,
        )

    def _dispatching(self, mute_ms_of: Callable[[str, str | None], int] | None) -> DispatchSettings:
        return DispatchSettings(
            slots=self._settings.handler_concurrency,
            retention_ms=self._settings.retention_ms,
            retry=retry_rules(self._settings),
            timeout_ms_of=self._handlers.timeout_ms,
            handler_of=self._handlers.handler,
            say=self._say,
            limit_of=self._handlers.limit_of(),
            pool_of=self._handlers.pool,
            mute_ms_of=mute_ms_of,
            steered_ms_of=self._steersman.changed_ms,
        )

    def _begin(self, inner: asyncio.TaskGroup) -> None:
        reclaimer = Reclaimer(
            self.id,
            self._pipe,
            self._keeper.partitions,
            self._dispatcher,
            self._metrics,
            reclaim_idle_ms=self._settings.reclaim_idle_ms,
            dedupe_ms=self._settings.dedupe_ms,
            retention_ms=self._settings.retention_ms,
            foreign_limit_ms=lambda instance: (
                self._handlers.longest_timeout_ms(instance) + self._settings.lease_ms
            ),
        )
        inner.create_task(self._dispatcher.run(), name="attempts")
        inner.create_task(self._listen(), name="bells")
        inner.create_task(self._steersman.run(), name="steering")
        looks = keep_looking(self._pipe, self._keys, self._keeper.partitions)
        inner.create_task(looks, name="silence")
        inner.create_task(reclaimer.run(), name="reclaimer")
        look = partial(
            count_doing, self._keeper.partitions, self._dispatcher, self._settings, self._metrics
        )
        teller = Teller(self._pipe, self._keys.worker(self.id), self._membership, look)
        inner.create_task(teller.run(), name="telling")
        inner.create_task(self._forgetting.run(), name="forgetting")
        log.info("worker.started", worker=self.id)

    def _owner_of(self, number: int) -> Owner | None:
        return self._keeper.partitions.get(number)

    def _own(self, lease: Lease) -> Partition:
        sender = PartitionSender(self._sends, self._outbox_of(lease.partition))
        partition = Partition(
            lease,
            self._store_of(lease.partition),
            sender,
            self._dispatcher,
            self._membership,
            self._metrics,
            read_ahead=self._settings.read_ahead,
            retention_ms=self._settings.retention_ms,
            new_memory=self._new_memory,
            refresh=self._steersman.refresh,
            acquire=self._keeper.acquire,
            on_lost=self._lost,
            narrator=self._narrator,
        )
        self._inner.create_task(partition.run(), name=f"partition-{lease.partition}")
        return partition

    def _new_memory(self) -> Memory:
        share = HELD_BYTES // self._keys.partitions
        return Memory(self._steersman.rules_of, share, self._steersman.is_paused)

    def _steer(self) -> None:
        for partition in self._keeper.partitions.values():
            partition.steer()

    def _lost(self, partition: Partition) -> None:
        self._keeper.forget(partition)
        self._sweeper.begin(partition.number, partition.epoch)

    async def _listen(self) -> None:
        """Hear the bells of what is ours, and the deployment's."""
        while True:
            bells = {self._keys.partition(n).bell: n for n in self._keeper.partitions}
            rung = await self._bells.wait([self._keys.bell, *bells])
            for bell, instance in rung.items():
                if bell == self._keys.bell:
                    self._keeper.nudge()
                    self._steersman.nudge()
                    self._forgetting.ring()
                elif (owned := self._keeper.partitions.get(bells[bell])) is not None:
                    owned.ring(instance)

    async def _drain(self) -> None:
        log.info("worker.draining", worker=self.id, running=len(self._dispatcher.running))
        self._membership.state = WorkerState.DRAINING
        self._keeper.release_all()
        self._keeper.nudge()
        if self._sweeper.under_way:
            await asyncio.wait(self._sweeper.under_way, timeout=SWEEP_LIMIT_S)
        await self._wait_until_idle(self._settings.drain_ms / 1000)
        self._dispatcher.cut_short()
        await self._wait_until_idle(SWEEP_LIMIT_S)

    async def _wait_until_idle(self, limit_s: float) -> None:
        end_s = time.monotonic() + limit_s
        while self._dispatcher.running or self._sends.in_hand:
            if time.monotonic() >= end_s:
                return
            await asyncio.sleep(POLL_S)

    async def _leave(self) -> None:
        try:
            await self._membership.leave()
        except (BrokerUnavailable, BrokerRefused) as error:
            log.warning("worker.left_unsaid", worker=self.id, error=str(error))
        log.info("worker.stopped", worker=self.id)
