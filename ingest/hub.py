"""
Who listens to which queue in this process: one read from Redis for a change, however many listen.

A change is published by the script that makes it. What was published says only that there is
something to read; the clinic's event stream is read from the last event known here, so nothing is
told twice, left out or out of order. A notice may be lost with its connection: so all queues that
somebody listens to are read again when the connection is back, and every few seconds.

While Redis is away the streams stay open and say so (``stale``); what has happened meanwhile is
read and told when it is back. Nothing is kept here that a crash could lose: browsers come back, to
any process, with the id of the last event that they know.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import structlog
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from ingest.feed import Feed
from ingest.frames import frame_connected, frame_update
from ingest.listener import Listener, write_patiently
from shared.errors import BrokerUnavailable, InturnError
from shared.metrics import IngestMetrics
from shared.tickets import Event, Gap, Snapshot, Status

PAGE = 200
"""Events in one read."""

FIRST = "0-0"
"""Before all events."""

log: FilteringBoundLogger = structlog.get_logger()


class Source(Protocol):
    """Where queues are read: the tickets' store."""

    async def snapshot(self, clinic: str) -> Snapshot:
        """The queue now."""

    async def event(self, clinic: str, event_id: str) -> Event | None:
        """One event, if it is kept."""

    async def events_since(
        self, clinic: str, event_id: str, count: int = PAGE
    ) -> list[Event] | Gap:
        """The events behind one, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """
    ``life_s``: so long after it has told the queue the server ends a stream, and the browser comes
    back. It does not count from the begin: where Redis is slow, nothing would ever be told.
    """

    heartbeat_s: float = 15.0
    snapshot_s: float = 5.0
    retry_s: float = 0.5
    life_s: float = 300.0


class Hub:
    """
    All feeds of this process.

    ``group`` runs the reads. A queue that nobody listens to is not read, not even known.
    """

    def __init__(
        self, source: Source, metrics: IngestMetrics, group: asyncio.TaskGroup, times: Times
    ) -> None:
        self.is_closed = False
        self.has_listeners = asyncio.Event()
        self.times = times
        self._source = source
        self._metrics = metrics
        self._group = group
        self._feeds: dict[str, Feed] = {}
        self._reads: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return sum(len(feed.listeners) for feed in self._feeds.values())

    def count_living(self) -> int:
        """How many are still there; those whose clients have left end now."""
        everybody = [each for feed in self._feeds.values() for each in feed.listeners]
        return sum(not listener.is_gone() for listener in everybody)

    def notice(self, clinic: bytes) -> None:
        """Something has changed there."""
        feed = self._feeds.get(clinic.decode(errors="replace"))
        if feed is not None:
            self._read_soon(feed)

    def look_again(self) -> None:
        """Something may have changed anywhere."""
        for feed in self._feeds.values():
            self._read_soon(feed)

    def close(self) -> None:
        """End all streams now; none begins any more, and nothing is read."""
        self.is_closed = True
        for read in self._reads:
            read.cancel()
        for feed in self._feeds.values():
            _settle(feed.readers)
            for listener in feed.listeners:
                listener.ended.set()

    def enter(self, clinic: str, listener: Listener) -> Feed:
        """Make a listener known; it hears nothing before ``greet``, and must ``leave``."""
        feed = self._feeds.setdefault(clinic, Feed(clinic))
        feed.listeners.add(listener)
        self._metrics.ticket_listeners.inc()
        self.has_listeners.set()
        return feed

    def leave(self, feed: Feed, listener: Listener) -> None:
        """The listener has ended; a feed without one is forgotten."""
        feed.listeners.discard(listener)
        self._metrics.ticket_listeners.dec()
        if listener.was_slow:
            self._metrics.ticket_listeners_dropped_total.inc()
        if not feed.listeners:
            self._feeds.pop(feed.clinic, None)
        if not self._feeds:
            self.has_listeners.clear()

    async def greet(
        self, feed: Feed, listener: Listener, answer: web.StreamResponse, since: str | None
    ) -> None:
        """
        Tell a listener the queue, or what it has missed ``since`` an event; then it hears the rest.

        What is told is no older than this call, unless Redis is away.

        Raises:
            BrokerUnavailable, BrokerRefused: it cannot be read now.
        """
        await self._refresh(feed)
        if feed.status is None:
            raise BrokerUnavailable("the queue could not be read")
        if since is None or since == feed.event_id:
            feed.connect(listener, resumed=since is not None)
            return
        missed = await self._missed(feed.clinic, since)
        if missed is None:
            feed.connect(listener, resumed=False, gap=True)
            return
        status, page = missed
        piece = frame_connected(status, since, resumed=True, gap=False).plain
        while page and not isinstance(page, Gap):
            piece += b"".join(frame_update(event).plain for event in page)
            await write_patiently(listener, answer, piece)
            since, piece = page[-1].id, b""
            if feed.admit(listener, since) or listener.is_gone():
                return
            page = await self._source.events_since(feed.clinic, since, PAGE)
        feed.reconnect(listener)

    async def _missed(self, clinic: str, since: str) -> tuple[Status, list[Event] | Gap] | None:
        """The queue at that event, and the first of those behind it; None: that is not kept."""
        page = await self._source.events_since(clinic, since, PAGE)
        if isinstance(page, Gap) or not page:
            return None
        if since == FIRST:
            return Status(clinic=clinic), page
        event = await self._source.event(clinic, since)
        return None if event is None else (event.status, page)

    async def _refresh(self, feed: Feed) -> None:
        """Wait for a read that begins after this call, however it ends; others may share it."""
        if self.is_closed:
            return
        read: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        feed.readers.append(read)
        self._read_soon(feed)
        await read

    def _read_soon(self, feed: Feed) -> None:
        feed.wanted = True
        if not feed.is_being_read and not self.is_closed:
            feed.is_being_read = True
            read = self._group.create_task(self._keep_reading(feed), name="queue-read")
            self._reads.add(read)
            read.add_done_callback(self._reads.discard)

    async def _keep_reading(self, feed: Feed) -> None:
        """Until there is nothing new, or nobody listens."""
        try:
            while feed.wanted and feed.listeners:
                feed.wanted = False
                readers, feed.readers = feed.readers, []
                try:
                    is_read = await self._read(feed)
                    feed.note_stale(is_stale=not is_read)
                finally:
                    _settle(readers)
                if not is_read:
                    await asyncio.sleep(self.times.retry_s)
                    feed.wanted = True
        finally:
            feed.is_being_read = False
            _settle(feed.readers)

    async def _read(self, feed: Feed) -> bool:
        """Whether Redis has answered, and what it said is known and told now."""
        try:
            if feed.status is None:
                feed.begin(await self._source.snapshot(feed.clinic))
                return True
            events = await self._source.events_since(feed.clinic, feed.event_id, PAGE)
            if isinstance(events, Gap):
                feed.jump(await self._source.snapshot(feed.clinic))
                return True
            feed.take(events)
            feed.wanted = feed.wanted or len(events) == PAGE
        except InturnError as error:
            if not feed.is_stale:
                log.warning("queue.unreadable", error=str(error))
            return False
        except Exception:
            if not feed.is_stale:  # what somebody else wrote there must not end the process
                log.exception("queue.unreadable")
            return False
        return True

    async def keep_telling_snapshots(self) -> None:
        """Every few seconds, of what has changed; and look for what no notice told."""
        while True:
            await asyncio.sleep(self.times.snapshot_s)
            for feed in list(self._feeds.values()):
                feed.tell_snapshot()
            self.count_living()
            self.look_again()

    async def keep_telling_alive(self) -> None:
        """Heartbeats, to all listeners."""
        while True:
            await asyncio.sleep(self.times.heartbeat_s)
            for feed in list(self._feeds.values()):
                feed.tell_alive()


def _settle(readers: list[asyncio.Future[None]]) -> None:
    for read in readers:
        if not read.done():
            read.set_result(None)


@asynccontextmanager
async def open_hub(
    source: Source, metrics: IngestMetrics, times: Times | None = None
) -> AsyncIterator[Hub]:
    """A hub that works as long as the block."""
    async with asyncio.TaskGroup() as group:
        hub = Hub(source, metrics, group, times or Times())
        tasks = [
            group.create_task(hub.keep_telling_snapshots(), name="queue-snapshots"),
            group.create_task(hub.keep_telling_alive(), name="queue-heartbeats"),
        ]
        try:
            yield hub
        finally:
            hub.close()
            for task in tasks:
                task.cancel()
