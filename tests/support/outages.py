"""The policy ``spool`` on a Redis under control."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from ingest.accepted import Accepted
from ingest.away import Servers, State
from ingest.outage import SpoolingAppender
from ingest.spool.payload import Outcome
from ingest.spool.replayer import Replayer
from ingest.spool.spool import Spool
from shared.errors import BrokerRefused, BrokerUnavailable, InturnError
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import Message
from tests.support.spooling import message
from tests.support.waiting import eventually


class Store:
    """
    Takes messages, once each, while it ``is_up``; ``hold`` is awaited before.

    ``refuses``: message ids whose key has the wrong type. ``gone``: users whose master is.
    """

    def __init__(self) -> None:
        self.is_up = True
        self.error: InturnError = BrokerUnavailable("away")
        self.order: list[str] = []
        self.refuses: set[str] = set()
        self.gone: set[str] = set()
        self.calls = 0
        self.hold = asyncio.Event()
        self.hold.set()

    async def append(self, messages: Sequence[Message]) -> list[Accepted]:
        """As Redis would."""
        self.calls += 1
        await self.hold.wait()
        await self.touch()
        accepted = []
        for one in messages:
            if one.message_id in self.refuses:
                raise BrokerRefused("WRONGTYPE", "of one stream")
            if one.user in self.gone:
                raise self.error
            known = one.message_id in self.order
            if not known:
                self.order.append(one.message_id)
            accepted.append(
                Accepted(message_id=one.message_id, entry_id="1-0", duplicate=known, spooled=False)
            )
        return accepted

    async def remember(self, outcome: Outcome) -> bool:
        """Nobody handles anything here."""
        raise AssertionError(outcome)

    async def touch(self) -> None:
        """As the probe does."""
        if not self.is_up:
            raise self.error


class Policy:
    """One process's policy: ``store`` is asked by requests, ``patient`` by the replayer."""

    def __init__(
        self,
        folder: Path,
        max_bytes: int = 1 << 30,
        servers: Servers | None = None,
        store: Store | None = None,
        patient: Store | None = None,
    ) -> None:
        self.store, self.patient = store or Store(), patient or Store()
        self.patient.order = self.store.order
        self.patient.gone = self.store.gone
        self.metrics = IngestMetrics(InstanceLabels(1))
        self.spool = Spool(folder, "p", max_bytes, self.metrics, lambda: 1)
        replayer = Replayer(self.spool, self.patient, self.patient, self.metrics)
        self.appender = SpoolingAppender(
            self.store, self.spool, replayer, self.patient.touch, servers=servers
        )
        self.draining: asyncio.Task[None] | None = None

    def drain(self) -> None:
        """Begin to replay whenever Redis is there."""
        self.draining = asyncio.create_task(self.appender.keep_draining())

    async def end(self) -> None:
        """As a process that ends in order."""
        if self.draining is not None:
            self.draining.cancel()
            await asyncio.gather(self.draining, return_exceptions=True)
        self.spool.close()

    async def put(self, number: int, user: str = "ann") -> bool:
        """Keep one; whether it was spooled."""
        [accepted] = await self.appender.append([message(number, user)])
        return accepted.spooled

    def go_away(self) -> None:
        """Redis takes no writes from now on."""
        self.store.is_up = self.patient.is_up = False

    def come_back(self) -> None:
        """It does again."""
        self.store.is_up = self.patient.is_up = True

    def draining_waits(self) -> bool:
        """Whether it was told to let another process go first."""
        return self.appender._ahead_until_s is not None

    async def is_in(self, state: State) -> None:
        """Wait for a state."""
        await eventually(lambda: self.appender.state is state, state.value)


def files(folder: Path, pattern: str) -> list[Path]:
    """What lies in the spool."""
    return list(folder.glob(pattern))
