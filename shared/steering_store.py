"""
Run-time settings in Redis: written by whoever steers, read by all who must obey.

A change is two steps, for the settings and the bell may be on different nodes of a cluster: first
it is written, then every worker is woken. Who dies between the two has changed it, and workers
hear of it with the next ring, or when they look by themselves (``LOOK_S`` of the consumer's).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import orjson

from shared.errors import BrokerRefused
from shared.keys import Keys
from shared.pipe import Pipe
from shared.scripts import load_script
from shared.steering import (
    NAMES,
    NOT_STEERED,
    REVISION,
    Steering,
    Value,
    changed_field,
    decode_steering,
    encode_value,
    field_of,
)

_REVISION_BYTES = 8


class SteeringStore:
    """
    What is set at run time, for all instances.

    Every method may raise ``BrokerUnavailable`` (no answer: it may have run) or ``BrokerRefused``,
    and may be called again then.
    """

    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys

    async def read(self, known: Steering = NOT_STEERED) -> Steering:
        """
        All of it as it stands now; if nothing has changed since, ``known`` itself.

        A key that somebody else wrote, with another type, holds no settings.
        """
        try:
            revision = await self._pipe.call("HGET", self._keys.settings, REVISION)
            if (revision or b"") == known.revision:
                return known
            return decode_steering(await self._pipe.call("HGETALL", self._keys.settings))
        except BrokerRefused as error:
            if error.code != "WRONGTYPE":
                raise
            return NOT_STEERED

    async def change(self, instance: str, changes: Mapping[str, Value | None]) -> int:
        """
        Set values, and take back those that are None; how many have changed. What is not named
        stays as it is. The values are checked, and the instance has a name that one can have.
        """
        pairs = [
            part
            for name, value in changes.items()
            for part in (field_of(instance, name), "" if value is None else encode_value(value))
        ]
        args = (
            secrets.token_hex(_REVISION_BYTES),
            changed_field(instance),
            orjson.dumps(pairs),
        )
        changed: int = await self._pipe.script(load_script("steer"), (self._keys.settings,), args)
        # also when nothing changed: the ring of a call before this one may have been lost
        await self._pipe.script(load_script("ring"), (self._keys.bell,), ())
        return changed

    async def take_back(self, instance: str) -> int:
        """Set nothing any more for an instance, a pause included; how many values there were."""
        return await self.change(instance, dict.fromkeys(NAMES))
