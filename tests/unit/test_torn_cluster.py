"""What goes on in a worker while one server of a cluster is away."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from consumer import silence
from consumer.partition import Partition
from consumer.reclaimer import Reclaimer
from shared.connect import Pipe
from shared.errors import NotConnected
from shared.keys import Keys
from shared.metrics import ConsumerMetrics
from shared.model import WorkerId

KEYS = Keys("t", 3)


class Torn:
    """Each partition on a server of its own; those of ``away`` do not answer, the others do."""

    def __init__(self, *away: int) -> None:
        self.away = [KEYS.partition(number).base for number in away]

    def together(self, keys: Sequence[str]) -> list[Sequence[str]]:
        """By server."""
        bases = dict.fromkeys(key.rpartition(":")[0] for key in keys)
        return [[key for key in keys if key.startswith(base)] for base in bases]

    async def call(self, name: str, *args: Any) -> Any:
        """EXISTS: something is unread. XREAD: nothing is unsent."""
        if any(str(arg).startswith(base) for arg in args for base in self.away):
            raise NotConnected("its server is away")
        return int(name == "EXISTS" and any(str(arg).endswith(":ready") for arg in args))


class Looked:
    """What is seen of a partition by who looks at many; ``rung``: it is to look itself."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.rung = False
        self.sender = SimpleNamespace(outbox=SimpleNamespace(last=None))
        self.store = SimpleNamespace(keys=KEYS.partition(number))

    def ring(self) -> None:
        """Look."""
        self.rung = True


async def test_partitions_of_other_servers_are_rung() -> None:
    """And it is said that some could not be asked."""
    looked = [Looked(number) for number in range(3)]
    pipe = cast(Pipe, Torn(0))
    with pytest.raises(NotConnected):
        await silence.look(pipe, KEYS, cast("list[Partition]", looked))
    assert [each.rung for each in looked] == [False, True, True]


async def test_audit_passes_over_nothing_that_nobody_can_tell_of() -> None:
    """Where nothing is, nothing is audited; what is not known may be there."""

    def reclaimer(*away: int) -> Reclaimer:
        pipe, metrics = cast(Pipe, Torn(*away)), ConsumerMetrics()
        return Reclaimer(
            WorkerId("w"),
            pipe,
            {},
            cast(Any, None),
            metrics,
            reclaim_idle_ms=1000,
            dedupe_ms=1000,
            retention_ms=1000,
            foreign_limit_ms=lambda _instance: 0,
        )

    looked = cast("list[Partition]", [Looked(number) for number in range(3)])
    assert await reclaimer()._holds_any(looked) == (False, False, False)
    assert await reclaimer(1)._holds_any(looked) == (True, True, True)
    with pytest.raises(NotConnected):
        await reclaimer(0, 1, 2)._holds_any(looked)
