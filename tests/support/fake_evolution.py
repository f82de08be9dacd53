"""Evolution's API on loopback: it answers as it is told and remembers what it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.instance_settings import InstanceSettings, Secret
from shared.providers import Address

TOKEN = "planted-token"
TEXT = "we are open until six"
PHONE = "5511987650001"
ADDRESS = Address(instance="Front Desk/2", user=PHONE, reply_to=f"{PHONE}@s.whatsapp.net")

Respond = Callable[[], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class FakeEvolution:
    """A server that answers as it is told and remembers what it was asked."""

    respond: Respond
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Remember the request, then answer."""
        self.asked.append(
            {
                "method": request.method,
                "path": request.raw_path,
                "apikey": request.headers.get("apikey"),
                "body": await request.json(),
            }
        )
        return await self.respond()


@asynccontextmanager
async def serving(respond: Respond) -> AsyncIterator[tuple[FakeEvolution, InstanceSettings]]:
    """The server on loopback, and the settings of an instance that sends through it."""
    fake = FakeEvolution(respond)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    async with TestServer(app) as server:
        yield fake, channel(str(server.make_url("/")))


def channel(base_url: str, token: str = TOKEN) -> InstanceSettings:
    """The settings of an instance that can send."""
    return InstanceSettings(base_url=base_url, token=Secret(token))


def answering(status: int, body: Any = None, **headers: str) -> Respond:
    """A server that always answers ``status`` with ``body`` as JSON."""

    async def respond() -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return respond
