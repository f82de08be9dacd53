"""An ingest with an instance for a door, and how its webhooks get there."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from shared.settings import Settings
from tests.support.doors import INSTANCE, PUBLIC_URL, SECRET, Door, Hook
from tests.support.ingest_server import Answer, IngestServer, serving

OLD_SECRET = "planted-older-secret"


def instance_of(door: Door, **changes: Any) -> dict[str, Any]:
    """``[instances.<INSTANCE>]`` of the door, with a channel to nowhere."""
    return {
        "provider": door.provider,
        "base_url": "http://127.0.0.1:9",
        **door.settings,
        **changes,
    }


@asynccontextmanager
async def serving_door(door: Door, **changes: Any) -> AsyncIterator[IngestServer]:
    """A server whose instance has ``SECRET`` and, while it rotates, ``OLD_SECRET``."""
    own = instance_of(door, secret=[OLD_SECRET, SECRET], store_raw=True, groups=True)
    settings = {"public_url": PUBLIC_URL, "instances": {INSTANCE: own}}
    async with serving(Settings(**(settings | changes))) as server:
        yield server


async def knock(server: IngestServer, door: Door, hook: Hook) -> Answer:
    """Send a webhook as it is."""
    return await server.request(
        hook.method, door.path(hook), headers=dict(hook.headers), data=io.BytesIO(hook.body)
    )


def signed(door: Door, hook: Hook, secret: str = SECRET) -> Hook:
    """The webhook as its provider sends it, now."""
    return door.sign(hook, secret, int(time.time()))
