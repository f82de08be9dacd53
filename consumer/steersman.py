"""
What is set at run time, as this worker obeys it.

The deployment's bell wakes it (a worker hears that within moments), each takeover asks before it
cuts anything, and every ``LOOK_S`` it looks by itself: whoever changed something may have died
before the bell was rung. So a worker that was cut off, or has just started, starts no window of an
instance that was paused before it took the partition over.

A change that is seen holds at once, in one step of the loop: windows that open from now on are cut
by the new rules; those that are open keep theirs, unless each message is to be alone now
(``pass_through``); no window of a paused instance starts any more. What is in a handler's hand goes
on, and replies leave. Another worker that takes the partition over cuts what has not begun under
the settings that it sees: nobody has seen those windows yet, and what has begun is frozen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache

import structlog
from structlog.typing import FilteringBoundLogger

from consumer.conversation import State
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.settings import Settings
from shared.steering import NOT_STEERED, Steering, connection_of
from shared.steering_store import SteeringStore
from shared.window import Rules, RulesOf, rules_for

LOOK_S = 30.0

RETRY_S = 0.5

RULES_CACHED = 10_000

TOLD_MAX = 20
"""Lines in the log for one change; what thousands of instances are set to is told by the API."""

log: FilteringBoundLogger = structlog.get_logger()


class Steersman:
    """``rules_of`` are the rules of now; ``on_change`` hears that something else holds."""

    def __init__(
        self, settings: Settings, store: SteeringStore, on_change: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._store = store
        self._on_change = on_change
        self._steering = NOT_STEERED
        self._is_any_paused = False
        self._rules = lru_cache(maxsize=RULES_CACHED)(self._make_rules)
        self.rules_of: RulesOf = self._rules
        self._turn = asyncio.Lock()
        self._nudged = asyncio.Event()

    def is_paused(self, state: State) -> bool:
        """Whether a conversation's windows must not start; costs nothing where none is paused."""
        if not self._is_any_paused:
            return False
        instance = state.instance
        connection = connection_of(self._settings, instance, state.connection)
        return self._steering.is_paused(instance, connection)

    def changed_ms(self, instance: str, connection: str | None) -> int:
        """When what is set for an instance changed last, in Redis's ms; 0: never."""
        if self._steering is NOT_STEERED:
            return 0
        behind = connection_of(self._settings, instance, connection)
        return self._steering.changed_ms(instance, behind)

    def nudge(self) -> None:
        """Look soon: the deployment's bell has rung."""
        self._nudged.set()

    async def run(self) -> None:
        """Look when nudged, and now and then, until cancelled."""
        is_known = True
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._nudged.wait()
            self._nudged.clear()
            try:
                await self.refresh()
            except (BrokerUnavailable, BrokerRefused) as error:
                if is_known:
                    log.warning("settings.unknown", error=str(error))
                is_known = False
                await asyncio.sleep(RETRY_S)
                self._nudged.set()
            else:
                is_known = True

    async def refresh(self) -> None:
        """
        Obey what stands in Redis now.

        Raises:
            BrokerUnavailable, BrokerRefused: what was known holds on.
        """
        async with self._turn:
            before, now = self._steering, await self._store.read(self._steering)
            if now is before:
                return
            self._steering = now
            self._is_any_paused = bool(now.paused())
            self._rules.cache_clear()
            self._on_change()
        _tell(before, now)

    def _make_rules(self, instance: str, connection: str | None) -> Rules:
        return rules_for(self._settings, instance, connection, self._steering)


def _tell(before: Steering, now: Steering) -> None:
    changed = list(_changed(before, now))
    for instance in changed[:TOLD_MAX]:
        values = {name: one.value for name, one in now.of(instance, None).items()}
        log.info("settings.changed", instance=instance, **values)
    if len(changed) > TOLD_MAX:
        log.info("settings.changed", count=len(changed))
    if now.unreadable and now.unreadable != before.unreadable:
        log.warning("settings.unreadable", count=len(now.unreadable))


def _changed(before: Steering, now: Steering) -> Iterator[str]:
    for instance in sorted(before.by_instance.keys() | now.by_instance.keys()):
        if before.by_instance.get(instance) != now.by_instance.get(instance):
            yield instance
