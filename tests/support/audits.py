"""Audits of partitions that are ours, by a clock of the test's."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import pytest

from consumer.memory import Memory
from consumer.reclaimer import Reclaimer
from shared.connect import Pipe
from shared.errors import BrokerRefused, NotConnected
from shared.keys import Keys
from shared.metrics import ConsumerMetrics
from shared.model import Conversation, EntryId, Token, WorkerId
from shared.window import Rules

KEYS = Keys("t", 4)
US, THEM = WorkerId("us"), WorkerId("them")
IDLE_S, LIMIT_S = 4.0, 10.0
RULES = Rules(max_wait_ms=8000, max_messages=5, quiet_ms=0, grace_ms=2000)


class Held:
    """A partition of ours that is loaded; of ``streams`` this much is pending."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.loaded, self.stopped = True, False
        self.memory = Memory(lambda _instance, _connection: RULES)
        self.records: dict[Conversation, Any] = {}
        self.damaged: list[tuple[bytes, bytes]] = []
        self.pending: dict[str, list[EntryId] | BrokerRefused] = {}
        self.unlisted: dict[str, int] = {}
        self.sender = SimpleNamespace(count_damaged=AsyncMock(return_value=0))
        self.restart = Mock()
        self.store = SimpleNamespace(
            keys=KEYS.partition(number),
            running=AsyncMock(side_effect=lambda: (self.records, self.damaged)),
            postpone=AsyncMock(return_value=True),
            some_streams=AsyncMock(side_effect=lambda *_: (0, sorted(self.pending))),
            audit=AsyncMock(side_effect=self._audit),
            pending_ids=AsyncMock(side_effect=lambda instance, count: self._of(instance)[:count]),
            remove_stream=AsyncMock(return_value=False),
        )

    def _audit(self, instance: str) -> tuple[int, int]:
        return len(self._of(instance)), self.unlisted.get(instance, 0)

    def _of(self, instance: str) -> list[EntryId]:
        found = self.pending[instance]
        if isinstance(found, BrokerRefused):
            raise found
        return found


class Audits:
    """A worker's audits, by a clock of the test's; ``keys``: the ends of those that exist."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        self.keys = {"running", "sending", "streams"}
        self.is_away = False
        self.running: dict[Token, Any] = {}
        self.metrics = ConsumerMetrics()
        self.held: dict[int, Held] = {}
        clock = SimpleNamespace(monotonic=lambda: self.now_s)
        monkeypatch.setattr("consumer.reclaimer.time", clock)
        self.reclaimer = Reclaimer(
            US,
            cast(Pipe, self),
            cast(Any, self.held),
            cast(Any, SimpleNamespace(running=self.running)),
            self.metrics,
            reclaim_idle_ms=int(IDLE_S * 1000),
            dedupe_ms=7,
            retention_ms=1000,
            foreign_limit_ms=lambda _instance: int(LIMIT_S * 1000),
        )

    def together(self, keys: Sequence[str]) -> list[Sequence[str]]:
        """All on one server."""
        return [keys]

    async def call(self, _exists: str, *keys: str) -> int:
        """How many of them exist."""
        if self.is_away:
            raise NotConnected("its server is away")
        return sum(key.rpartition(":")[2] in self.keys for key in keys)

    def hold(self, number: int = 0) -> Held:
        """A partition more."""
        return self.held.setdefault(number, Held(number))

    async def after(self, *waits_s: float) -> None:
        """A round after each wait."""
        for wait_s in waits_s:
            self.now_s += wait_s
            await self.reclaimer.round()

    def found(self, reason: str) -> float | None:
        """How often."""
        name = "inturn_audits_failed_total"
        return self.metrics.registry.get_sample_value(name, {"reason": reason})

    def reclaimed(self) -> float | None:
        """How many entries."""
        return self.metrics.registry.get_sample_value("inturn_entries_reclaimed_total")


def record(worker: str, name: str = "t") -> Any:
    """Of a window that was started, under the token of that name."""
    return SimpleNamespace(worker=WorkerId(worker), token=Token(name))


def ids(*numbers: int) -> list[EntryId]:
    """Of entries."""
    return [EntryId(number, 0) for number in numbers]
