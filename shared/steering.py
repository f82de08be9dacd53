"""
What is set at run time for single instances: it goes before all that files and environment say.

It stands in ``<prefix>:settings``, a field for each value, so that two who change different ones
do not undo each other's work. ``steering_store`` reads and writes it; here is what may be set, and
what then holds. Pure.

What stands there and cannot be read (somebody else wrote it, or a later version) counts as not
set: a worker that stopped for it would stop for all instances.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from shared.settings import Settings

Value = int | str | bool

NUMBERS: Mapping[str, tuple[int, int]] = {
    "max_wait_ms": (1, 3_600_000),
    "max_messages": (1, 1000),
    "quiet_ms": (0, 3_600_000),
    "grace_ms": (0, 3_600_000),
}
MODES = ("window", "pass_through")
NAMES = ("mode", *NUMBERS, "paused")

_RELATED = ("quiet_ms", "max_wait_ms", "grace_ms")

REVISION = b"revision"
"""The field that is another after each change; those of instances hold a NUL."""

_CHANGED = ""
"""The name under which an instance's last change stands, also when nothing is set any more."""


class Set(NamedTuple):
    """One value, and since when it is set (Redis's ms)."""

    value: Value
    since: int


class Source(StrEnum):
    """Where a value comes from; each goes before those below it."""

    RUN_TIME = "run_time"
    INSTANCE = "instance"
    """``[instances.<name>]``, its own or its connection's."""
    SETTINGS = "settings"
    """The environment, or the general part of the file."""
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """
    A setting as it holds for an instance. ``configured`` is what holds when nothing is set at run
    time, ``since`` when that was (None: it was not).
    """

    value: Value
    source: Source
    configured: Value
    since: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """
    All that is set at run time, by instance and name; ``changed_at`` is each instance's last
    change. ``unreadable``: what stands there and is not understood.
    """

    revision: bytes = b""
    by_instance: Mapping[str, Mapping[str, Set]] = field(default_factory=dict)
    changed_at: Mapping[str, int] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()

    def of(self, instance: str, connection: str | None) -> Mapping[str, Set]:
        """What is set for an instance, over what is for the connection that it is behind."""
        own = self.by_instance.get(instance, _NOTHING)
        behind = _NOTHING if connection is None else self.by_instance.get(connection, _NOTHING)
        return {**behind, **own} if behind else own

    def is_paused(self, instance: str, connection: str | None) -> bool:
        """Whether windows of an instance must not be started."""
        return self.paused_since(instance, connection) is not None

    def paused_since(self, instance: str, connection: str | None) -> int | None:
        """Since when they must not (Redis's ms); None: they may."""
        found = self.of(instance, connection).get("paused")
        return None if found is None or found.value is False else found.since

    def changed_ms(self, instance: str, connection: str | None) -> int:
        """When what is set for an instance changed last; 0: never."""
        behind = 0 if connection is None else self.changed_at.get(connection, 0)
        return max(self.changed_at.get(instance, 0), behind)

    def paused(self) -> list[str]:
        """The instances that are paused themselves, by name."""
        return sorted(name for name in self.by_instance if self.is_paused(name, None))


_NOTHING: Mapping[str, Set] = {}

NOT_STEERED = Steering()


def connection_of(settings: Settings, instance: str, connection: str | None = None) -> str | None:
    """What an instance is behind: as the file says, else what its messages came through."""
    named = settings.instances.get(instance)
    return connection if named is None else named.connection


def in_force(
    settings: Settings, steering: Steering, instance: str, connection: str | None = None
) -> dict[str, InForce]:
    """Every setting that may be set at run time, as it holds for an instance now."""
    steered = steering.of(instance, connection_of(settings, instance, connection))
    found: dict[str, InForce] = {}
    for name in NAMES:
        configured, source = _configured(settings, name, instance, connection)
        value, since = steered.get(name, (configured, None))
        found[name] = InForce(
            value=value,
            source=source if since is None else Source.RUN_TIME,
            configured=configured,
            since=since,
        )
    return found


def _configured(
    settings: Settings, name: str, instance: str, connection: str | None
) -> tuple[Value, Source]:
    own = getattr(settings.instance(instance, connection), name, None)
    if own is not None:
        return own, Source.INSTANCE
    was_set = name in settings.model_fields_set
    return getattr(settings, name, False), Source.SETTINGS if was_set else Source.DEFAULT


# What may be set


def check_value(name: str, value: Any) -> Value:
    """
    A value for a name, as it will be kept.

    Raises:
        ValueError: there is no such name, or it cannot have this value; says what is possible.
    """
    if name in NUMBERS:
        low, high = NUMBERS[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high or value != int(value):
            raise ValueError(f"{name} must be a whole number from {low} to {high}")
        return int(value)
    if name == "mode":
        if value not in MODES:
            raise ValueError(f"mode must be {' or '.join(MODES)}")
        return str(value)
    if name == "paused":
        if not isinstance(value, bool):
            raise ValueError("paused must be true or false")
        return value
    raise ValueError(f"{name} cannot be set at run time; possible are {', '.join(NAMES)}")


def _with_changes(
    steering: Steering, instance: str, changes: Mapping[str, Value | None]
) -> Steering:
    kept = {n: one for n, one in steering.by_instance.get(instance, {}).items() if n not in changes}
    given = {name: Set(value, 0) for name, value in changes.items() if value is not None}
    return replace(steering, by_instance={**steering.by_instance, instance: kept | given})


def change_problem(
    settings: Settings, steering: Steering, instance: str, changes: Mapping[str, Value | None]
) -> str | None:
    """Why a change cannot be made: values that cannot hold together. None: it can."""
    if changes.keys().isdisjoint(_RELATED):
        return None  # nobody is kept from pausing by what a file says
    found = in_force(settings, _with_changes(steering, instance, changes), instance)
    quiet, wait, grace = (
        int(found[name].value) for name in ("quiet_ms", "max_wait_ms", "grace_ms")
    )
    if quiet > wait:
        return f"quiet_ms would be {quiet}: it must not exceed max_wait_ms, which is {wait}"
    if wait + grace > settings.dedupe_ms:
        most = settings.dedupe_ms
        return f"max_wait_ms and grace_ms together must not exceed INTURN_DEDUPE_MS, {most}"
    return None


# How it stands in Redis


def field_of(instance: str, name: str) -> str:
    """The field of a value; an instance name holds no NUL."""
    return f"{instance}\0{name}"


def changed_field(instance: str) -> str:
    """The field of an instance's last change."""
    return field_of(instance, _CHANGED)


def encode_value(value: Value) -> str:
    """A value as it stands behind its time."""
    return orjson.dumps(value).decode()


def decode_steering(flat: Sequence[bytes]) -> Steering:
    """What ``HGETALL`` gives: field, value, ..."""
    by_instance: dict[str, dict[str, Set]] = {}
    changed_at: dict[str, int] = {}
    unreadable: list[str] = []
    revision = b""
    for key, value in _pairs(flat):
        if key == REVISION:
            revision = value
            continue
        instance, nul, name = key.decode(errors="replace").partition("\0")
        try:
            ms, _, text = value.partition(b" ")
            if nul and name == _CHANGED:
                changed_at[instance] = int(ms)
                continue
            by_instance.setdefault(instance, {})[name] = Set(
                check_value(name, orjson.loads(text)), int(ms)
            )
        except ValueError:  # no number, no JSON, or nothing that may be set
            unreadable.append(f"{instance}: {name}" if name else instance)
    set_here = {name: values for name, values in by_instance.items() if values}
    return Steering(
        revision=revision,
        by_instance=set_here,
        changed_at=changed_at,
        unreadable=tuple(sorted(unreadable)),
    )


def _pairs(flat: Sequence[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)
