"""
A wish to forget: ingest writes it down, and a worker fulfils it.

The service that faces the internet may add messages to Redis and delete none. So who asks it over
HTTP is answered by the worker that owns the user's partition; without one the wish waits, over
crashes and restarts, until there is one.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from shared.connect import Pipe
from shared.keys import Keys
from shared.model import Conversation
from shared.scripts import load_script

REPORT_MS = 60_000
"""How long what was deleted is told."""


class Wishes:
    """
    The wishes of one deployment.

    Every method may raise ``BrokerUnavailable`` (no answer: it may have run) or ``BrokerRefused``,
    and may be called again then.
    """

    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys

    async def make(self, instance: str, user: str) -> str:
        """Write a wish down, and wake the workers; its id."""
        wish = secrets.token_hex(8)
        whose = orjson.dumps([instance, user])
        await self._pipe.script(load_script("wish"), (self._keys.wishes,), (wish, whose))
        await self._pipe.script(load_script("ring"), (self._keys.bell,), ())
        return wish

    async def open(self) -> dict[str, Conversation]:
        """What is not fulfilled, by its id; what cannot be read is nobody's, and stays."""
        flat = await self._pipe.call("HGETALL", self._keys.wishes)
        found: dict[str, Conversation] = {}
        for wish, whose in zip(flat[::2], flat[1::2], strict=True):
            with suppress(ValueError, TypeError):  # a later version's: a worker must not end of it
                instance, user = orjson.loads(whose)
                found[wish.decode()] = (str(instance), str(user))
        return found

    async def fulfil(self, wish: str, told: Mapping[str, Any]) -> None:
        """It is done; whoever asked may hear of it."""
        keys = (self._keys.wishes, self._keys.forget_report(wish))
        args = (wish, orjson.dumps(told), REPORT_MS)
        await self._pipe.script(load_script("fulfil"), keys, args)

    async def told(self, wish: str) -> dict[str, Any] | None:
        """What was deleted; None: it is not done yet, or a while ago."""
        value = await self._pipe.call("HGET", self._keys.forget_report(wish), "told")
        return None if value is None else dict(orjson.loads(value))
