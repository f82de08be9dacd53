"""
Who works here: this worker's own key, and the others'.

A worker's id is new with every process. Its key lives ``lease_ms`` and is kept alive by beats;
others trust it only that long, so the worker itself calls no handler and no provider when its
last beat is older (``is_trusted``).
"""

from __future__ import annotations

import asyncio
import base64
import os
import platform
import time
from enum import StrEnum

from consumer.lease import NO_TRUST, Trust, is_renewal_due, trust_from
from shared.connect import Pipe
from shared.counts import WORKERS_REMOVED, note
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.keys import Keys
from shared.model import WorkerId
from shared.scripts import load_script


class WorkerState(StrEnum):
    """What a worker says of itself: ``DRAINING`` takes no partitions and leaves soon."""

    UP = "up"
    DRAINING = "draining"


def new_worker_id() -> WorkerId:
    """An id that no other process has had."""
    return WorkerId("worker-" + base64.b32encode(os.urandom(8)).decode().rstrip("=").lower())


class Membership:
    """
    This worker's key, and what is known of the others.

    ``joins`` grows whenever our key was, or may have been, found missing: the others have taken
    us for dead.
    ``unsure``: not every other one could be looked at.
    """

    def __init__(self, pipe: Pipe, keys: Keys, worker: WorkerId, lease_ms: int) -> None:
        self.worker = worker
        self.state = WorkerState.UP
        self.live: dict[WorkerId, WorkerState] = {}
        self._pipe = pipe
        self._keys = keys
        self._lease_ms = lease_ms
        self.joins = 0
        self.unsure = False
        self._said: WorkerState | None = None
        self.trust: Trust = NO_TRUST

    def is_trusted(self, now_s: float) -> bool:
        """Whether the others must still take this worker for alive."""
        return self.trust.holds(now_s)

    def is_beat_due(self, now_s: float) -> bool:
        """Whether a beat is due: as a lease's renewal is, or because the state was not said yet."""
        return self._said is not self.state or is_renewal_due(self.trust, now_s, self._lease_ms)

    def assignable(self) -> list[WorkerId]:
        """The live workers that do not drain."""
        return sorted(w for w, state in self.live.items() if state is not WorkerState.DRAINING)

    async def beat(self) -> bool:
        """
        Keep our key alive. True: the others should look, for we have just joined (again) or
        have said for the first time that we drain.
        """
        sent_s = time.monotonic()
        key = self._keys.worker(self.worker)
        if self._said is self.state:
            if await self._pipe.call("PEXPIRE", key, self._lease_ms):
                self.trust = trust_from(sent_s, self._lease_ms)
                return False
            self.joins += 1
        args = (self._lease_ms, self.state, platform.node())  # the state may change meanwhile
        try:
            kept = await self._pipe.script(load_script("beat"), (key,), args)
        except BrokerUnavailable:
            self.joins += 1  # it may have made the key, and the next one finds it
            raise
        is_news = kept == 0 or self._said is not args[1]
        self.joins += int(kept == 0)
        self.trust, self._said = trust_from(sent_s, self._lease_ms), args[1]
        return is_news

    async def survey(self) -> dict[WorkerId, WorkerState]:
        """
        Look at every known worker; the dead are struck off the list, and we are on it.

        Somebody may have struck us off just when we came back: then we put ourselves on again. In
        a cluster each worker's key is somewhere else: of one whose server is away nobody knows
        that it is dead, so it counts as it did, and we are ``unsure``.
        """
        listed = await self._pipe.call("SMEMBERS", self._keys.workers)
        known = {WorkerId(worker.decode()) for worker in listed}
        if self.worker not in known:
            await self._pipe.script(load_script("enlist"), (self._keys.workers,), (self.worker,))
        others = sorted(known - {self.worker})
        self.unsure = False
        found = await asyncio.gather(*map(self._look_at, others))
        states = zip(others, found, strict=True)
        self.live = {worker: state for worker, state in states if state is not None}
        self.live[self.worker] = self.state
        dead = [worker for worker in others if worker not in self.live]
        if dead and (removed := await self._pipe.call("SREM", self._keys.workers, *dead)):
            await note(self._pipe, self._keys.counts, WORKERS_REMOVED, removed)
        return self.live

    async def _look_at(self, worker: WorkerId) -> WorkerState | None:
        """What another worker says of itself; None: it is dead."""
        try:
            keys, args = (self._keys.worker(worker),), (self._lease_ms,)
            state = await self._pipe.script(load_script("look"), keys, args)
        except (BrokerUnavailable, BrokerRefused):
            self.unsure = True
            return self.live.get(worker, WorkerState.UP)
        return None if state is None else WorkerState(state.decode())

    async def ring(self) -> None:
        """Wake every worker: somebody joined, drains, or took or gave back a partition."""
        await self._pipe.script(load_script("ring"), (self._keys.bell,), ())

    async def leave(self) -> None:
        """Delete our key: whatever still bears our name is anybody's now."""
        self.trust = NO_TRUST
        await self._pipe.call("DEL", self._keys.worker(self.worker))
        await self._pipe.call("SREM", self._keys.workers, self.worker)
        await self.ring()
