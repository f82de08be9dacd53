"""
Each account: its provider, what shapes its windows and where that comes from, and what waits.

For a person or a program that asks now and then: every stream is looked at. Nothing is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.backlog_by_instance import InstanceBacklog, backlog_by_instance
from shared.handlers.kinds import handler_kind
from shared.keys import Keys
from shared.live_workers import live_workers
from shared.pipe import Pipe
from shared.redis_time import time_ms_at
from shared.settings import Settings
from shared.steering import InForce, Steering, in_force
from shared.steering_store import SteeringStore
from shared.window import rules_for


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFacts:
    """
    One account, under the settings of who asks and what is set at run time. ``handler`` is its
    kind: a URL may hold secrets.

    ``paused_since``, ``changed_at`` (its run-time settings) and ``oldest_at`` are Redis's ms, and
    None where it is not paused, was never steered, or nothing is unfinished.
    """

    instance: str
    provider: str | None
    handler: str
    mode: str
    max_wait_ms: int
    max_messages: int
    quiet_ms: int
    grace_ms: int
    paused: bool
    paused_since: int | None
    changed_at: int | None
    messages: int
    oldest_at: int | None
    orphans: int
    settings: Mapping[str, InForce]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllInstances:
    """At ``now_ms`` of Redis's clock, the largest backlog first."""

    now_ms: int
    instances: tuple[InstanceFacts, ...]


async def look_at_instances(pipe: Pipe, keys: Keys, settings: Settings) -> AllInstances:
    """
    All that the settings name, that were steered, or that have written.

    Raises:
        BrokerUnavailable: no answer.
        BrokerRefused: Redis refused to tell.
    """
    steering = await SteeringStore(pipe, keys).read()
    backlog = await backlog_by_instance(pipe, keys, await live_workers(pipe, keys))
    now_ms = await time_ms_at(pipe, keys.meta)
    waiting = {one.instance: one for one in backlog}
    written = await instances_that_wrote(pipe, keys)
    names = {*settings.instances, *steering.by_instance, *waiting, *written}
    found = [facts_of(name, settings, steering, waiting.get(name)) for name in names]
    found.sort(key=lambda one: (-one.messages, one.instance))
    return AllInstances(now_ms=now_ms, instances=tuple(found))


async def is_known(pipe: Pipe, keys: Keys, settings: Settings, instance: str) -> bool:
    """Whether the settings name an instance, or it has written."""
    return instance in settings.instances or instance in await instances_that_wrote(pipe, keys)


async def instances_that_wrote(pipe: Pipe, keys: Keys) -> set[str]:
    """Those that have a stream: it is kept for ``DEDUPE_MS`` after its last message."""
    parts = [keys.partition(number) for number in range(keys.partitions)]
    found = await asyncio.gather(*(pipe.call("SMEMBERS", part.streams) for part in parts))
    return {name.decode() for names in found for name in names}


def facts_of(
    name: str, settings: Settings, steering: Steering, backlog: InstanceBacklog | None = None
) -> InstanceFacts:
    """One of them."""
    own, rules = settings.instance(name), rules_for(settings, name, None, steering)
    found = in_force(settings, steering, name)
    is_paused = found["paused"].value is True
    return InstanceFacts(
        instance=name,
        provider=own.provider,
        handler=handler_kind(own.handler or settings.handler),
        mode="pass_through" if rules.pass_through else "window",
        max_wait_ms=rules.max_wait_ms,
        max_messages=rules.max_messages,
        quiet_ms=rules.quiet_ms,
        grace_ms=rules.grace_ms,
        paused=is_paused,
        paused_since=found["paused"].since if is_paused else None,
        changed_at=steering.changed_at.get(name),
        messages=0 if backlog is None else backlog.messages,
        oldest_at=None if backlog is None else backlog.oldest_at,
        orphans=0 if backlog is None else backlog.orphans,
        settings=found,
    )


def instance_face(one: InstanceFacts) -> dict[str, Any]:
    """An account as data: for the API, and for ``--json``."""
    plain = {name: getattr(one, name) for name in InstanceFacts.__slots__ if name != "settings"}
    return {**plain, "settings": settings_face(one.settings)}


def steered_face(one: InstanceFacts, *, is_known: bool) -> dict[str, Any]:
    """What holds for an account; ``is_known``: the settings name it, or it has written."""
    face = instance_face(one)
    told = ("instance", "paused", "paused_since", "changed_at", "settings")
    return {"known": is_known, **{name: face[name] for name in told}}


def settings_face(found: Mapping[str, InForce]) -> dict[str, Any]:
    """
    By name: the value that was given, where it comes from, what holds without it. One that
    contradicts another is as it was given here: ``quiet_ms`` is at most ``max_wait_ms``.
    """
    return {
        name: {
            "value": one.value,
            "from": one.source.value,
            "since": one.since,
            "configured": one.configured,
        }
        for name, one in found.items()
    }
