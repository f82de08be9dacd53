"""
Which instances are paused, for who handles messages while Redis is away (``ON_OUTAGE=direct``).

What Redis said last holds for as long as it says nothing more. It is written down beside the spool,
so that a process that starts meanwhile obeys a pause as well. What cannot be read there, or was
never written, pauses nobody.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import orjson
import structlog
from structlog.typing import FilteringBoundLogger

from shared.errors import BrokerRefused, BrokerUnavailable
from shared.model import Message
from shared.settings import Settings
from shared.steering import Set, Steering, connection_of
from shared.steering_store import SteeringStore

READ_S = 1.0
"""One small command a second, with the policy ``direct`` alone."""

_ON_DISK = b"on disk"
"""No revision that Redis has: what it says goes before what was written down."""

log: FilteringBoundLogger = structlog.get_logger()


class Pauses:
    """``keep_reading`` must be running."""

    def __init__(self, store: SteeringStore, settings: Settings, root: Path) -> None:
        self._store = store
        self._settings = settings
        self._path = root / f"paused-{settings.prefix}"
        self._written = _read(self._path)
        told = {name: {"paused": Set(value, 0)} for name, value in self._written.items()}
        self._steering = Steering(revision=_ON_DISK, by_instance=told)

    def holds(self, message: Message) -> bool:
        """Whether a message must not be handled now."""
        connection = connection_of(self._settings, message.instance, message.connection)
        return self._steering.is_paused(message.instance, connection)

    async def keep_reading(self) -> None:
        """Ask again and again, until cancelled."""
        while True:
            with suppress(BrokerUnavailable, BrokerRefused):  # the outage is told by others
                await self.read()
            await asyncio.sleep(READ_S)

    async def read(self) -> None:
        """
        Hear what is paused now, and write it down.

        Raises:
            BrokerUnavailable, BrokerRefused: what was known holds on.
        """
        self._steering = await self._store.read(self._steering)
        said = {
            name: values["paused"].value is True
            for name, values in self._steering.by_instance.items()
            if "paused" in values
        }
        if said == self._written:
            return
        try:
            await asyncio.to_thread(_write, self._path, said)
        except OSError as error:
            log.warning("pauses.not_kept", error=error.strerror)
        else:
            self._written = said


def _read(path: Path) -> dict[str, bool]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, bool)}


def _write(path: Path, said: dict[str, bool]) -> None:
    """Whole or not at all: who dies here leaves the old one."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.touch(mode=0o600)
    with beside.open("wb") as file:
        file.write(orjson.dumps(said))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
