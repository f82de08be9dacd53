"""A hub over a store that does as the test says, and clients that keep what they were told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import web

from ingest.feed import Feed
from ingest.hub import PAGE, Hub, Times, open_hub
from ingest.listener import Listener
from shared.metrics import IngestMetrics, InstanceLabels
from shared.tickets import Change, Event, Gap, Snapshot, Status
from tests.support.waiting import eventually

CLINIC = "north-wing"
QUIET = Times(heartbeat_s=1000, snapshot_s=1000, retry_s=0.01, life_s=1000)


def event_of(number: int) -> Event:
    """Somebody entered, and got this number."""
    status = Status(clinic=CLINIC, last=number)
    return Event(
        id=f"{number}-0",
        change=Change.ENTERED,
        number=number,
        seq=number,
        at_ms=number,
        status=status,
    )


class Store:
    """Keeps events in a list; each read waits for ``gate``, or fails with ``failure``."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.on_read: Callable[[], object] = lambda: None
        self.lost = 0

    def enter(self, count: int = 1) -> None:
        """So many more get numbers."""
        for _ in range(count):
            self.events.append(event_of(len(self.events) + 1))

    async def _read(self) -> None:
        self.reads += 1
        self.on_read()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure

    async def snapshot(self, clinic: str) -> Snapshot:
        """The queue now."""
        await self._read()
        if not self.events:
            return Snapshot(status=Status(clinic=clinic), event_id="0-0")
        return Snapshot(status=self.events[-1].status, event_id=self.events[-1].id)

    async def event(self, clinic: str, event_id: str) -> Event | None:
        """One of them."""
        return next((event for event in self.events if event.id == event_id), None)

    async def events_since(
        self, clinic: str, event_id: str, count: int = PAGE
    ) -> list[Event] | Gap:
        """Those behind one; a gap where that is among the first ``lost``."""
        number = int(event_id.partition("-")[0])
        await self._read()
        return Gap() if number < self.lost else self.events[number : number + count]


class Wire(asyncio.Transport):
    """
    What a client was sent; ``unsent``: what it has not taken.

    ``is_late``: it is written at the end of a turn of the loop, as uvloop does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self.unsent = 0
        self.is_cut = self.is_left = self.is_late = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Keep it."""
        assert not self.is_closing()
        self.pieces.append(bytes(data))
        if self.is_late:
            self.unsent += len(data)
            asyncio.get_running_loop().call_soon(self._take, len(data))

    def _take(self, size: int) -> None:
        self.unsent -= size

    def get_write_buffer_size(self) -> int:
        """As the test says."""
        return self.unsent

    def is_closing(self) -> bool:
        """Whether we cut it, or the client left."""
        return self.is_cut or self.is_left

    def abort(self) -> None:
        """Cut it."""
        self.is_cut = True

    @property
    def told(self) -> list[dict[str, Any]]:
        """The data of what was written."""
        lines = b"".join(self.pieces).split(b"\n")
        return [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]


class Answer:
    """Writes to the same wire; ``on_write`` happens while a piece is on its way."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.on_write: Callable[[], object] = lambda: None

    async def write(self, piece: bytes) -> None:
        """As aiohttp's does."""
        self._wire.write(piece)
        self.on_write()
        await asyncio.sleep(0)


@dataclass
class Client:
    """A listener and what it was told."""

    hub: Hub
    wire: Wire = field(default_factory=Wire)
    unsent_max: int = 100

    def __post_init__(self) -> None:
        self.listener = Listener(self.wire, chunked=False, unsent_max=self.unsent_max)
        self.answer = Answer(self.wire)
        self.feed: Feed = self.hub.enter(CLINIC, self.listener)

    async def greet(self, since: str | None = None) -> None:
        """Begin to listen."""
        answer = cast(web.StreamResponse, self.answer)
        await self.hub.greet(self.feed, self.listener, answer, since)

    def leave(self) -> None:
        """As the endpoint does at the end."""
        self.hub.leave(self.feed, self.listener)

    @property
    def heard(self) -> list[str]:
        """Kinds and the last number, of what was told."""
        return [f"{told['type']} {told.get('last', told.get('stale'))}" for told in self.wire.told]


@asynccontextmanager
async def running(times: Times = QUIET) -> AsyncIterator[tuple[Hub, Store]]:
    """A hub over a store."""
    store = Store()
    async with open_hub(store, IngestMetrics(InstanceLabels(1)), times) as hub:
        yield hub, store


async def settled(client: Client, count: int) -> None:
    """Wait until so much was told."""
    await eventually(lambda: len(client.wire.told) >= count, f"{count} events")
