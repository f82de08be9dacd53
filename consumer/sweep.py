"""
What a worker does after it lost a partition: it leaves nothing there under its name.

First the old epoch is released, so that no start of ours can come after; then every record that
bears our name and has no handler here is given back, uncounted. Otherwise the next owner would
wait for a worker that lives but does nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog

from consumer.dispatch import Dispatcher
from consumer.keeper import LeaseKeeper
from consumer.membership import Membership
from consumer.outbox import OutboxStore
from consumer.sends import Sends
from consumer.store import PartitionStore
from shared.errors import BrokerRefused, BrokerUnavailable

RETRY_S = 0.3

log = structlog.get_logger()


class Sweeper:
    """Sweeps partitions that were lost; retries until done, or until we own them again."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        keeper: LeaseKeeper,
        membership: Membership,
        dispatcher: Dispatcher,
        sends: Sends,
        store_of: Callable[[int], PartitionStore],
        outbox_of: Callable[[int], OutboxStore],
    ) -> None:
        self.under_way: set[asyncio.Task[None]] = set()
        self._group = group
        self._keeper = keeper
        self._membership = membership
        self._dispatcher = dispatcher
        self._sends = sends
        self._store_of = store_of
        self._outbox_of = outbox_of

    def begin(self, number: int, epoch: int) -> None:
        """
        Sweep in a task of the group's.

        In a group that ends there is no sweep: what is left is as after a crash, and others take
        it over when the lease has expired.
        """
        sweep = self.sweep(number, epoch)
        try:
            task = self._group.create_task(sweep, name=f"sweep-{number}")
        except RuntimeError:  # TaskGroup's, while it shuts down and afterwards
            sweep.close()
            return
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def sweep(self, number: int, epoch: int) -> None:
        """Release ``epoch`` of a partition, then clear our name from what we do not run."""
        while number not in self._keeper.partitions:
            try:
                await self._keeper.release(number, epoch)
                await self._membership.ring()
                await self._clear_windows(number)
                await self._clear_sends(number)
                return
            except (BrokerUnavailable, BrokerRefused) as error:
                log.debug("sweep.delayed", partition=number, error=str(error))
            await asyncio.sleep(RETRY_S * (0.5 + random.random()))

    async def _clear_windows(self, number: int) -> None:
        store = self._store_of(number)
        records, _ = await store.running()
        for conversation, record in records.items():
            if number in self._keeper.partitions:
                return
            ours = record.worker == self._membership.worker
            if ours and record.token not in self._dispatcher.running:
                await store.postpone(conversation, record.token, 0, counts=False)

    async def _clear_sends(self, number: int) -> None:
        store = self._outbox_of(number)
        for reply_id, record in (await store.sending()).items():
            if number in self._keeper.partitions:
                return
            ours = record.worker == self._membership.worker
            if ours and record.token not in self._sends.in_hand:
                await store.unsend(reply_id, record.token, 0)
