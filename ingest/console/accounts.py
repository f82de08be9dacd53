"""
The instances with the most to do, out of however many there are.

What a look costs follows those that have something unfinished. Which others there are is asked less
often: there may be thousands.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from shared.backlog_by_instance import InstanceBacklog, named_backlog
from shared.instance_facts import InstanceFacts, facts_of, instances_that_wrote
from shared.keys import Keys
from shared.pipe import Pipe
from shared.redis_time import time_ms_at
from shared.settings import Settings
from shared.steering import NOT_STEERED, Steering
from shared.steering_store import SteeringStore

SHOWN = 50
NAMES_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsSeen:
    """At ``now_ms`` of Redis's clock: the first of ``total``, the largest backlog first."""

    now_ms: int
    shown: tuple[InstanceFacts, ...]
    total: int


class Accounts:
    """Looks at the data of one connection."""

    def __init__(self, pipe: Pipe, keys: Keys, settings: Settings) -> None:
        self._pipe = pipe
        self._keys = keys
        self._settings = settings
        self._store = SteeringStore(pipe, keys)
        self._steering = NOT_STEERED
        self._written: set[str] = set()
        self._asked_s: float | None = None

    async def look(self, part_of_name: str) -> AccountsSeen:
        """
        Those whose name holds a text, of any case.

        Raises:
            BrokerUnavailable, BrokerRefused: nothing is known.
        """
        backlog, steering, now_ms = await asyncio.gather(
            named_backlog(self._pipe, self._keys),
            self._store.read(self._steering),
            time_ms_at(self._pipe, self._keys.meta),
        )
        self._steering = steering
        names = await self._names(backlog, steering)
        if wanted := part_of_name.casefold():
            names = {name for name in names if wanted in name.casefold()}
        ranked = sorted(names, key=lambda name: (-_messages(backlog, name), name))
        return AccountsSeen(
            now_ms=now_ms,
            shown=tuple(
                facts_of(name, self._settings, steering, backlog.get(name))
                for name in ranked[:SHOWN]
            ),
            total=len(names),
        )

    async def _names(self, backlog: Mapping[str, InstanceBacklog], steering: Steering) -> set[str]:
        if self._asked_s is None or time.monotonic() - self._asked_s >= NAMES_S:
            self._written = await instances_that_wrote(self._pipe, self._keys)
            self._asked_s = time.monotonic()
        return {*self._settings.instances, *steering.by_instance, *backlog, *self._written}


def _messages(backlog: Mapping[str, InstanceBacklog], name: str) -> int:
    return backlog[name].messages if name in backlog else 0
