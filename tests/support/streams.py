"""Event streams of queues: a server that has them, and a client that reads them as browsers do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from ingest.events import PATH, EventsApi
from ingest.hub import Hub, Times
from ingest.ticketing import TIMEOUT_MS, telling_changes
from shared.keys import ClinicKeys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.settings import Settings
from shared.tickets import Tickets
from tests.support.ingest_server import IngestServer, serving
from tests.support.pipes import running_pipe

CLINIC = "north-wing"
SELDOM = Times(heartbeat_s=1000, snapshot_s=1000, life_s=1000)
"""Nothing but changes is told."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event, as a browser hands it to a page; ``id`` is what stood in it, if any."""

    kind: str
    id: str | None
    data: dict[str, Any]


def parse_frame(lines: list[str]) -> Told | None:
    """By the rules of WHATWG HTML 9.2.6; None: nothing is dispatched."""
    kind, event_id, data = "message", None, []
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "id":
            event_id = value
        elif name == "data":
            data.append(value)
    return Told(kind, event_id, json.loads("\n".join(data))) if data else None


class Stream:
    """One open stream; ``last_id`` is what a browser would come back with."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.last_id: str | None = None
        self.retry_ms: int | None = None

    async def next(self, *kinds: str) -> Told:
        """The next event, of these kinds if some are named; fails at the stream's end."""
        async with asyncio.timeout(20):
            while (told := await self._any()) is not None:
                if not kinds or told.kind in kinds:
                    return told
        raise AssertionError("the stream has ended")

    async def rest(self) -> list[Told]:
        """All until the server ends it."""
        found = []
        async with asyncio.timeout(20):
            while (told := await self._any()) is not None:
                found.append(told)
        return found

    async def _any(self) -> Told | None:
        lines: list[str] = []
        while raw := await self.answer.content.readline():
            line = raw.decode().rstrip("\n")
            if line.startswith("retry: "):
                self.retry_ms = int(line.removeprefix("retry: "))
            elif line:
                lines.append(line)
            elif told := parse_frame(lines):
                self.last_id = told.id or self.last_id
                return told
            else:
                lines = []
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamServer:
    """A server with streams, and the store and hub behind it."""

    http: IngestServer
    tickets: Tickets
    hub: Hub
    metrics: IngestMetrics

    prefix: str

    def events_key(self, clinic: str) -> str:
        """Where a clinic's events are kept."""
        return ClinicKeys.of(self.prefix, clinic).events

    @asynccontextmanager
    async def listen(
        self, clinic: str = CLINIC, since: str | None = None, **headers: str
    ) -> AsyncIterator[Stream]:
        """A stream, from ``since`` on."""
        if since is not None:
            headers["Last-Event-ID"] = since
        url = f"http://{self.http.host}:{self.http.port}{PATH}"
        async with self.http.session.get(url, params={"clinic": clinic}, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            yield Stream(answer)


@asynccontextmanager
async def serving_streams(
    redis_url: str,
    prefix: str,
    times: Times = SELDOM,
    *,
    listeners_max: int = 2000,
    clinics: Sequence[str] = (),
    settings: Settings | None = None,
) -> AsyncIterator[StreamServer]:
    """Ingest's HTTP side with nothing but the streams."""
    metrics = IngestMetrics(InstanceLabels(1))
    async with running_pipe(redis_url, TIMEOUT_MS) as pipe:
        tickets = Tickets(pipe, prefix, clinics=clinics)
        async with telling_changes(tickets, redis_url, metrics, times) as hub:
            routes = EventsApi(tickets, hub, listeners_max).routes()
            async with serving(settings, open_routes=routes) as http:
                yield StreamServer(
                    http=http, tickets=tickets, hub=hub, metrics=metrics, prefix=prefix
                )
                hub.close()
