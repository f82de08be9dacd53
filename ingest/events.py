"""
``GET /api/v1/events/stream?clinic=``: what happens in a queue, as server-sent events.

aiohttp-sse is not used: its pings are comments that no page can hear, it encodes and frames each
event again for each listener, and it waits for a slow one without a limit.
"""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from ingest.event_stream import begin_stream, listener_of, stream_answer
from ingest.feed import Feed
from ingest.frames import frame_heartbeat
from ingest.hub import Hub
from ingest.listener import Listener
from shared.errors import InturnError, RequestRefused
from shared.tickets import Tickets

PATH = "/api/v1/events/stream"

log: FilteringBoundLogger = structlog.get_logger()


class EventsApi:
    """The endpoint. ``listeners_max``: more would take connections from webhooks."""

    def __init__(self, tickets: Tickets, hub: Hub, listeners_max: int) -> None:
        self._tickets = tickets
        self._hub = hub
        self._listeners_max = listeners_max

    def routes(self) -> list[web.RouteDef]:
        """What this module answers."""
        return [web.get(PATH, self.stream, allow_head=False)]

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """
        The queue at once, then each change, until the stream's time is over or the client is gone.

        Where the queue cannot be read now, the stream ends after it has said so: browsers come back
        by themselves after a stream that ends, but never after an error.

        Raises:
            RequestRefused: 4xx; 503 there are too many streams already.
        """
        clinic = _clinic_of(request)
        self._tickets.check_clinic(clinic)
        if self._hub.is_closed or self._is_full():
            raise RequestRefused(503, "too_many_listeners", "too many streams are open here")
        answer = stream_answer(request)
        listener = listener_of(request, answer)
        if listener is None:
            return answer
        feed = self._hub.enter(clinic, listener)
        try:
            await begin_stream(request, answer, listener)
            await self._tell(feed, listener, answer, request.headers.get("Last-Event-ID") or None)
            await listener.end()
        finally:
            self._hub.leave(feed, listener)
        return answer

    async def _tell(
        self, feed: Feed, listener: Listener, answer: web.StreamResponse, since: str | None
    ) -> None:
        """All there is to tell, to its end; raises nothing: what has begun cannot become a 503."""
        try:
            await self._hub.greet(feed, listener, answer, since)
            async with asyncio.timeout(self._hub.times.life_s):
                await listener.ended.wait()
        except TimeoutError:
            pass  # its time is over
        except InturnError:
            listener.send(frame_heartbeat(feed.clinic, stale=True))
        except Exception:
            log.exception("queue.unreadable")
            listener.send(frame_heartbeat(feed.clinic, stale=True))

    def _is_full(self) -> bool:
        most = self._listeners_max
        return len(self._hub) >= most and self._hub.count_living() >= most


def _clinic_of(request: web.Request) -> str:
    """Whatever else stands in the query is left alone: pages add to it to pass by caches."""
    clinics = request.query.getall("clinic", ())
    if len(clinics) != 1:
        raise RequestRefused(400, "missing_field", "clinic must stand in the query, once")
    return clinics[0]
