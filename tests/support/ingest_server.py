"""Ingest's HTTP side on a real port, with an appender that keeps messages in memory."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import structlog
from aiohttp import web
from multidict import CIMultiDictProxy
from structlog.typing import EventDict
from yarl import URL

from ingest.accepted import Accepted
from ingest.app import build_app, make_runner
from ingest.body import BodyReader
from shared.errors import InturnError
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import Message
from shared.settings import Settings
from shared.steering import NOT_STEERED, Steering
from tests.support.evolution_payloads import RECEIVED_AT

NOW_MS = RECEIVED_AT
"""The server's clock stands still, shortly after the payloads of the tests were sent."""

LEVELS_ABOVE_WARNING = ("error", "critical", "exception")


class MemoryAppender:
    """Keeps messages in a list. ``failure`` is raised instead, where a test sets it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.failure: InturnError | None = None
        self._entries: dict[tuple[str, str, str], str] = {}

    async def append(self, messages: Sequence[Message]) -> list[Accepted]:
        """Each message once, known by its conversation and id."""
        if self.failure is not None:
            raise self.failure
        return [self._append_one(message) for message in messages]

    def _append_one(self, message: Message) -> Accepted:
        identity = (message.instance, message.user, message.message_id)
        duplicate = identity in self._entries
        if not duplicate:
            self.messages.append(message)
            self._entries[identity] = f"{NOW_MS}-{len(self._entries)}"
        return Accepted(
            message_id=message.message_id,
            entry_id=self._entries[identity],
            duplicate=duplicate,
            spooled=False,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: CIMultiDictProxy[str]

    def all_of(self, name: str) -> list[str]:
        """Every header of that name."""
        return list(self.headers.getall(name, ()))

    @property
    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """``code: message`` of an error's body, in the one form that errors have."""
        body = self.json
        assert set(body) == {"error"}
        assert set(body["error"]) == {"code", "message"}
        return f"{body['error']['code']}: {body['error']['message']}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestServer:
    """A running server, what it kept and what it logged."""

    host: str
    port: int
    session: aiohttp.ClientSession
    appender: MemoryAppender
    metrics: IngestMetrics
    problem: list[str | None] = field(default_factory=lambda: [None])
    logs: list[EventDict] = field(default_factory=list)

    async def request(
        self, method: str, path: str, *, headers: Any = None, **options: Any
    ) -> Answer:
        """One request over a connection that may be reused; ``path`` goes out as it is."""
        url = URL(f"http://{self.host}:{self.port}{path}", encoded=True)
        async with self.session.request(method, url, headers=headers, **options) as answer:
            return Answer(status=answer.status, body=await answer.read(), headers=answer.headers)

    async def post(self, path: str, body: Any, *, headers: Any = None) -> Answer:
        """POST ``body``: bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.request("POST", path, headers=headers, data=io.BytesIO(data))

    async def send_raw(self, request: bytes) -> bytes:
        """Bytes on a connection of their own; the one answer to them."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(request)
            async with asyncio.timeout(20):
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head.lower())
                return head + await reader.readexactly(int(length[1]) if length else 0)
        finally:
            writer.close()

    def worst_logged(self) -> list[EventDict]:
        """The lines above a warning."""
        return [line for line in self.logs if line["log_level"] in LEVELS_ABOVE_WARNING]


@asynccontextmanager
async def serving(
    settings: Settings | None = None,
    *,
    bodies: BodyReader | None = None,
    routes: Iterable[web.RouteDef] = (),
    open_routes: Iterable[web.RouteDef] = (),
) -> AsyncIterator[IngestServer]:
    """A server on a free port of 127.0.0.1."""
    appender, metrics = MemoryAppender(), IngestMetrics(InstanceLabels(200))
    problem: list[str | None] = [None]

    async def check() -> str | None:
        return problem[0]

    with structlog.testing.capture_logs() as logs:
        app = build_app(
            settings or Settings(),
            appender=appender,
            health=check,
            metrics=metrics,
            bodies=bodies,
            now_ms=lambda: NOW_MS,
            routes=routes,
            open_routes=open_routes,
        )
        runner = make_runner(app, metrics)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            async with aiohttp.ClientSession() as session:
                yield IngestServer(
                    host="127.0.0.1",
                    port=site.port,
                    session=session,
                    appender=appender,
                    metrics=metrics,
                    problem=problem,
                    logs=logs,
                )
        finally:
            await runner.cleanup()


async def nothing_steered() -> Steering:
    """What is set at run time where nobody has: nothing."""
    return NOT_STEERED
