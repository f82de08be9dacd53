"""
The outside world on one loopback port: the handler that is called, the provider that sends.

Each worker process is given URLs of its own, so that a call tells whose it is. The handler takes
its time and fails as often as it is told; it answers with the window's own id, so that the reply
that arrives at the provider names its window.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any, Self

import orjson
from aiohttp import web

from ops.chaos.evidence import Call, Delivered
from ops.chaos.ledger import Ledger

SHORTEST_S = 0.005
LONGEST_S = 0.8

POISON = "poison"
"""A message with this word makes its window fail at every attempt."""


class Endpoint:
    """``handler_url`` and ``provider_url`` are what a worker of that name is configured with."""

    def __init__(self, ledger: Ledger, chance: random.Random, *, error_rate: float = 0.02) -> None:
        self.url = ""
        self.error_rate = error_rate
        self.shortest_s = SHORTEST_S
        self.longest_s = LONGEST_S
        self._ledger = ledger
        self._chance = chance
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/handler/{worker}", self._handle)
        app.router.add_post("/provider/{worker}/message/sendText/{instance}", self._deliver)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def handler_url(self, worker: str) -> str:
        """``HANDLER`` of that worker."""
        return f"{self.url}/handler/{worker}"

    def provider_url(self, worker: str) -> str:
        """``base_url`` of every instance for that worker."""
        return f"{self.url}/provider/{worker}"

    async def _handle(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = orjson.loads(await request.read())
        call = Call(
            who=(body["instance"], body["user"]),
            window_id=body["window_id"],
            attempt=body["attempt"],
            closed_by=body["closed_by"],
            members=tuple(message["message_id"] for message in body["messages"]),
            worker=request.match_info["worker"],
            began_s=time.monotonic(),
        )
        is_poison = POISON in body["text"]
        with self._ledger.calling(call):
            await asyncio.sleep(self._duration_s())
            call.failed = is_poison or self._chance.random() < self.error_rate
        if call.failed:
            return web.Response(status=500)
        return web.json_response({"reply": call.window_id})

    def _duration_s(self) -> float:
        """Between the shortest and the longest, each order of magnitude as often as the others."""
        ratio: float = (self.longest_s / self.shortest_s) ** self._chance.random()
        return self.shortest_s * ratio

    async def _deliver(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = orjson.loads(await request.read())
        self._ledger.evidence.delivered.append(
            Delivered(
                who=(request.match_info["instance"], body["number"]),
                window_id=body["text"],
                worker=request.match_info["worker"],
                at_s=time.monotonic(),
            )
        )
        return web.json_response({"key": {"id": f"S{body['text']}"}}, status=201)
