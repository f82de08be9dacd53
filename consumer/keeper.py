"""
The lease keeper: keeps this worker alive in the others' eyes, and its leases its own.

Each round beats and renews what is ours, then looks at who is there and moves towards the fair
assignment: gives back what another should own, acquires what is free. It speaks on a connection of
its own whose timeout is a quarter of the lease, so that nothing else can make a renewal late.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import structlog

from consumer.lease import (
    ROUNDS_PER_LEASE,
    Lease,
    assign,
    is_renewal_due,
    renew_by_s,
    retry_within_s,
    trust_from,
)
from consumer.membership import Membership, WorkerState
from consumer.partition import Partition
from shared.command import Failure
from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.keys import Keys
from shared.metrics import ConsumerMetrics
from shared.model import WorkerId
from shared.probe import Point, reach
from shared.scripts import load_script

log = structlog.get_logger()


class LeaseKeeper:
    """
    Owns leases; ``partitions`` are those that are ours now, by number.

    ``has_joined``: a first round is over, so it is known and has what was free for it.
    """

    def __init__(
        self,
        pipe: Pipe,
        keys: Keys,
        membership: Membership,
        lease_ms: int,
        metrics: ConsumerMetrics,
        own: Callable[[Lease], Partition],
    ) -> None:
        self.partitions: dict[int, Partition] = {}
        self._pipe = pipe
        self._keys = keys
        self._membership = membership
        self._lease_ms = lease_ms
        self._metrics = metrics
        self._own = own
        self.has_joined = False
        self._is_partial = False
        self._nudge = asyncio.Event()

    @property
    def worker(self) -> WorkerId:
        """Whose leases these are."""
        return self._membership.worker

    def nudge(self) -> None:
        """Look again now: the deployment's bell rang."""
        self._nudge.set()

    async def run(self) -> None:
        """Round after round until cancelled; an outage is one line in the log, its end another."""
        is_delayed = False
        while True:
            try:
                await self.round()
            except (BrokerUnavailable, BrokerRefused) as error:
                if not is_delayed:
                    log.warning("keeper.delayed", error=str(error))
                is_delayed, pause_s = True, self._retry_s()
            else:
                if is_delayed:
                    log.info("keeper.resumed")
                is_delayed, pause_s = False, self._pause_s()
            self._drop_untrusted()
            try:
                async with asyncio.timeout(pause_s):
                    await self._nudge.wait()
            except TimeoutError:
                continue
            self._nudge.clear()

    def _pause_s(self) -> float:
        """
        Until the next round: a quarter of the lease, or less where something is to be renewed by
        then, for bells make rounds at other times.
        """
        trusts = [self._membership.trust, *(p.lease.trust for p in self.partitions.values())]
        left_s = min(renew_by_s(trust, self._lease_ms) for trust in trusts) - time.monotonic()
        round_s = self._lease_ms / 1000 / ROUNDS_PER_LEASE * random.uniform(0.94, 1.0)
        return max(min(round_s, left_s), self._retry_s())

    def _retry_s(self) -> float:
        """After a failure."""
        return retry_within_s(self._lease_ms) * random.uniform(0.5, 1.0)

    async def round(self) -> None:
        """
        One round; what fails leaves the rest to the next one.

        Where a part fails, a server of a cluster is away: what is on the others goes on, and what
        is asked after the renewals is given up in time for the next ones.

        Raises:
            BrokerUnavailable, BrokerRefused: a part of it, or all, was not done.
        """
        due = self._due_now()
        is_news, *answers = await asyncio.gather(
            self._beat(), *map(self._renew, due), return_exceptions=True
        )
        failures = _failures([is_news, *answers])
        if isinstance(is_news, BaseException) or (failures and len(failures) == len(due)):
            raise failures[0]
        groups = zip(due, answers, strict=True)
        away = [p for group, answer in groups if answer is not None for p in group]
        try:
            async with asyncio.timeout(self._left_s(away) if away or self._is_partial else None):
                await self._look(is_news=bool(is_news))
            async with asyncio.timeout(self._left_s(away) if self._is_partial else None):
                failures += await self._share()
        except TimeoutError:
            failures.append(BrokerUnavailable("a part of Redis is away: the rest is done later"))
        self._is_partial = self._membership.unsure or bool(failures)
        if failures:
            raise failures[0]

    async def _look(self, *, is_news: bool) -> None:
        """See who is there, and tell them that we are."""
        live = await self._membership.survey()
        self._is_partial = self._is_partial or self._membership.unsure
        self._metrics.live_workers.set(len(live))
        if is_news:
            await self._membership.ring()

    async def _share(self) -> list[Failure]:
        """Take what should be ours, give back what should not; what of it has failed."""
        owners = assign(self._keys.partitions, self._membership.assignable())
        ours = {number for number, owner in owners.items() if owner == self.worker}
        if self._membership.state is WorkerState.DRAINING:
            ours = set()
        self._give_back([p for n, p in self.partitions.items() if n not in ours])
        missing = sorted(ours - self.partitions.keys())
        taken = await asyncio.gather(*map(self._take, missing), return_exceptions=True)
        failures = _failures(taken)
        if any(answer is True for answer in taken):
            live = len(self._membership.live)
            log.info("partitions.owned", count=len(self.partitions), workers=live)
            await self._membership.ring()
        self.has_joined = True
        self._metrics.owned_partitions.set(len(self.partitions))
        return failures

    def _left_s(self, away: Collection[Partition]) -> float:
        """Until something must be renewed again, but for leases whose server is away."""
        kept = [p.lease.trust for p in self.partitions.values() if p not in away]
        due_s = min(renew_by_s(t, self._lease_ms) for t in (self._membership.trust, *kept))
        return due_s - time.monotonic()

    async def _beat(self) -> bool:
        is_due = self._membership.is_beat_due(time.monotonic())
        return is_due and await self._membership.beat()

    def _due_now(self) -> list[list[Partition]]:
        """
        Whose renewals go before all else: a slow Redis takes its time for each answer.

        Each group goes with one script: all of them, or in a cluster each by itself, also where two
        are in one slot: while that moves, a script that names both would be refused.
        """
        now_s, held = time.monotonic(), self.partitions.values()
        due = [p for p in held if is_renewal_due(p.lease.trust, now_s, self._lease_ms)]
        if self._pipe.is_cluster:
            return [[partition] for partition in due]
        return [due] if due else []

    async def acquire(self, number: int) -> Lease | None:
        """The lease of a partition under a new epoch; None when another worker holds it."""
        sent_s = time.monotonic()
        keys = self._keys.partition(number)
        args = (self.worker, self._lease_ms)
        epoch = await self._pipe.script(load_script("acquire"), (keys.lease, keys.epoch), args)
        if epoch == 0:
            return None
        trust = trust_from(sent_s, self._lease_ms)
        return Lease(worker=self.worker, partition=number, epoch=epoch, trust=trust)

    def release_all(self) -> None:
        """Step down from every partition; the sweeps give the leases back."""
        self._give_back(list(self.partitions.values()))

    def forget(self, partition: Partition) -> None:
        """A partition's lease is lost."""
        if self.partitions.get(partition.number) is partition:
            del self.partitions[partition.number]
        self._metrics.owned_partitions.set(len(self.partitions))

    async def release(self, number: int, epoch: int) -> None:
        """Give one lease back, if it is still ours under this epoch."""
        lease = self._keys.partition(number).lease
        await self._pipe.script(load_script("release"), (lease,), (self.worker, epoch))

    async def _take(self, number: int) -> bool:
        lease = await self.acquire(number)
        if lease is None:
            return False
        if self._membership.state is WorkerState.DRAINING:
            await self.release(number, lease.epoch)
            return False
        log.debug("lease.acquired", partition=number, epoch=lease.epoch)
        self.partitions[number] = self._own(lease)
        return True

    async def _renew(self, partitions: Sequence[Partition]) -> None:
        sent_s = time.monotonic()
        leases = [partition.lease for partition in partitions]
        keys = [self._keys.partition(lease.partition).lease for lease in leases]
        args = (self.worker, self._lease_ms, *(lease.epoch for lease in leases))
        answers = await self._pipe.script(load_script("renew"), keys, args)
        reach(Point.RENEW)
        trust = trust_from(sent_s, self._lease_ms)
        for partition, lease, is_renewed in zip(partitions, leases, answers, strict=True):
            if partition.lease.epoch != lease.epoch:
                continue
            if is_renewed:
                partition.renewed(replace(lease, trust=trust))
            else:
                log.warning("lease.lost", partition=partition.number)
                self._metrics.fenced_total.labels(call="renew").inc()
                partition.step_down()

    def _give_back(self, partitions: list[Partition]) -> None:
        for partition in partitions:
            log.debug("lease.released", partition=partition.number)
            partition.step_down()

    def _drop_untrusted(self) -> None:
        now_s = time.monotonic()
        for partition in list(self.partitions.values()):
            if not partition.lease.trust.holds(now_s):
                log.warning("lease.lost", partition=partition.number)
                partition.step_down()


def _failures(answers: Sequence[object]) -> list[Failure]:
    """What Redis did not do; anything else that went wrong is raised."""
    wrong = [answer for answer in answers if isinstance(answer, BaseException)]
    for error in wrong:
        if not isinstance(error, Failure):
            raise error
    return [error for error in wrong if isinstance(error, Failure)]
