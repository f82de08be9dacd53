"""
The buffer that inturn replaces, from its description, to run under the same load and faults.

A message is put into its user's buffer, a JSON list in Redis: read, changed, written back, under a
TTL of 15 s. A timer of 8 s in memory ends the window: the buffer is read and deleted, the handler
called, the reply sent. No lock, no acknowledgement. In its favour: a message that the buffer
holds is not added twice, and handler and provider are tried three times.

``inturn chaos --baseline`` starts several replicas of it, with the settings that inturn gets.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import uuid
from typing import Any

import aiohttp
from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

HOST = "127.0.0.1"
ATTEMPTS = 3


class Buffer:
    """One replica."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._redis: Redis = Redis.from_url(os.environ["INTURN_REDIS_URL"], protocol=2)
        self._session = session
        self._wait_s = int(os.environ["INTURN_MAX_WAIT_MS"]) / 1000
        self._ttl_ms = int(os.environ["BUFFER_TTL_MS"])
        self._handler = os.environ["INTURN_HANDLER"]
        self._instances: dict[str, dict[str, str]] = json.loads(os.environ["INTURN_INSTANCES"])
        self._timers: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def accept(self, request: web.Request) -> web.Response:
        """A webhook: into the buffer, and start the user's timer unless it runs."""
        message: dict[str, str] = await request.json()
        who = (message["instance"], message["user"])
        try:
            await self._add(who, message)
        except (RedisError, OSError):
            return web.Response(status=503)
        if who not in self._timers:
            self._timers[who] = asyncio.create_task(self._end_window(who))
        kept = {"message_id": message["message_id"], "entry_id": None}
        return web.json_response({"accepted": [{**kept, "spooled": False}]}, status=202)

    async def _add(self, who: tuple[str, str], message: dict[str, str]) -> None:
        buffered: list[dict[str, str]] = json.loads(await self._redis.get(_key(who)) or "[]")
        if all(known["message_id"] != message["message_id"] for known in buffered):
            buffered.append(message)
        await self._redis.set(_key(who), json.dumps(buffered), px=self._ttl_ms)

    async def _end_window(self, who: tuple[str, str]) -> None:
        await asyncio.sleep(self._wait_s)
        del self._timers[who]
        try:
            buffered = json.loads(await self._redis.get(_key(who)) or "[]")
            await self._redis.delete(_key(who))
        except (RedisError, OSError):
            return
        if buffered:
            await self._answer(who, buffered)

    async def _answer(self, who: tuple[str, str], messages: list[dict[str, str]]) -> None:
        instance, user = who
        window = {
            "window_id": f"b_{uuid.uuid4().hex}",
            "instance": instance,
            "user": user,
            "closed_by": "max_wait",
            "text": "\n".join(message["text"] for message in messages),
            "messages": messages,
        }
        answer = await self._post(self._handler, window)
        if answer is not None:
            base_url = self._instances[instance]["base_url"]
            reply = {"number": user, "text": answer["reply"]}
            await self._post(f"{base_url}/message/sendText/{instance}", reply)

    async def _post(self, url: str, body: dict[str, Any]) -> dict[str, Any] | None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self._session.post(url, json={**body, "attempt": attempt}) as response:
                    if response.status < 300:
                        answer: dict[str, Any] = await response.json()
                        return answer
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(self._wait_s / 8 * attempt)
        return None


def _key(who: tuple[str, str]) -> str:
    return f"buffer:{who[0]}:{who[1]}"


async def _ready(_request: web.Request) -> web.Response:
    return web.Response()


async def main() -> None:
    """Serve until killed, or told to end: then what its timers wait for is left in Redis."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        app = web.Application()
        app.router.add_post("/api/v1/messages", Buffer(session).accept)
        app.router.add_get("/readyz", _ready)
        app.router.add_get("/metrics", _ready)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, HOST, int(os.environ["INTURN_PORT"])).start()
        await ended.wait()
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
