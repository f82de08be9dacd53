"""
Ingest, a consumer, a handler and a provider's API around one door, each for itself.

    async with door_system(door, redis_url, prefix, tmp_path) as made:
        await made.knock(door.text("hi", 1))
        await eventually(lambda: made.provider.that_say("the answer"), "a reply")
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis
from yarl import URL

from ops.chaos.contents import leftovers, unsent
from tests.support.clients import look_into
from tests.support.door_server import instance_of, signed
from tests.support.doors import INSTANCE, PUBLIC_URL, Door, Hook
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.provider_server import ProviderServer
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

REPLY = "the answer is 42 🙂"
POISON = "poison"


def reply_or_reject(call: HandlerCall) -> Answer:
    """Every window is answered alike, but what can never be answered."""
    return Answer(status=422) if call.json["text"] == POISON else Answer.reply(REPLY)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorSystem:
    """What runs around one door."""

    door: Door
    redis: Redis
    prefix: str
    ingest: ServiceProcess
    consumer: ServiceProcess
    handler: HandlerServer
    provider: ProviderServer
    session: aiohttp.ClientSession

    async def knock(self, hook: Hook, **headers: str) -> int:
        """Sign and send; the status."""
        return await self.send(signed(self.door, hook), **headers)

    async def send(self, hook: Hook, **headers: str) -> int:
        """Send a webhook as it is; the status."""
        url = URL(f"{self.ingest.url}{self.door.path(hook)}", encoded=True)
        every = {**hook.headers, **headers}
        async with self.session.request(hook.method, url, data=hook.body, headers=every) as answer:
            await answer.read()
            return answer.status

    async def handled(self) -> None:
        """Wait until nothing is unfinished or unsent."""

        async def is_so() -> bool:
            left = await leftovers(self.redis, self.prefix)
            return not left and await unsent(self.redis, self.prefix) == 0

        await eventually(is_so, "an empty Redis", 20.0)

    async def traces(self) -> dict[str, str]:
        """All that these services leave behind: logs, metrics, and everything in Redis."""
        found = {}
        for service in (self.ingest, self.consumer):
            found[f"{service.name}'s log"] = service.log.read_text(errors="replace")
            found[f"{service.name}'s metrics"] = await service.metrics()
        found |= {f"key {key!r}": str(value) for key, value in (await self._everything()).items()}
        return found

    async def _everything(self) -> dict[bytes, Any]:
        read: Mapping[bytes, Any] = {
            b"string": self.redis.get,
            b"hash": self.redis.hgetall,
            b"set": self.redis.smembers,
            b"stream": self.redis.xrange,
            b"list": lambda key: self.redis.lrange(key, 0, -1),
            b"zset": lambda key: self.redis.zrange(key, 0, -1),
        }
        found = {}
        async for key in self.redis.scan_iter(f"{self.prefix}:*", count=1000):
            kind: Any = await self.redis.type(key)
            if kind in read:
                found[key] = await read[kind](key)
        return found


@asynccontextmanager
async def door_system(
    door: Door, redis_url: str, prefix: str, folder: Path, **settings: Any
) -> AsyncIterator[DoorSystem]:
    """
    Processes of their own, which log at debug and keep what came raw.

    Everything is killed at the end.
    """
    async with (
        HandlerServer(reply_or_reject) as handler,
        ProviderServer(*door.answer) as provider,
        aiohttp.ClientSession() as session,
        look_into(redis_url) as redis,
    ):
        config = folder / "inturn.toml"
        own = instance_of(door, base_url=provider.url)
        config.write_text(f"[instances.{INSTANCE}]\n" + as_toml(own))
        given = {
            "redis_url": redis_url,
            "prefix": prefix,
            "config": config,
            "public_url": PUBLIC_URL,
            "handler": handler.url,
            "log_level": "debug",
            "store_raw": True,
            **settings,
        }
        async with (
            ServiceProcess("ingest", folder, given) as ingest,
            ServiceProcess("consumer", folder, given) as consumer,
        ):
            await consumer.owns(16)
            yield DoorSystem(
                door=door,
                redis=redis,
                prefix=prefix,
                ingest=ingest,
                consumer=consumer,
                handler=handler,
                provider=provider,
                session=session,
            )


def as_toml(table: Mapping[str, Any]) -> str:
    """Lines of a table: texts, numbers, booleans and lists are written in TOML as in JSON."""
    return "\n".join(f"{name} = {json.dumps(value)}" for name, value in table.items())
