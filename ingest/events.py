"""
``GET /api/v1/events/stream?clinic=``: what happens in a queue, as server-sent events.

aiohttp-sse is not used: its pings are comments that no page can hear, it encodes and frames each
event again for each listener, and it waits for a slow one without a limit.
"""

from __future__ import annotations

import asyncio
import random

from aiohttp import HttpVersion11, hdrs, web

from ingest.frames import frame_heartbeat, retry_line
from ingest.hub import Hub
from ingest.listener import Listener, write_patiently
from shared.errors import InturnError, RequestRefused
from shared.tickets import Tickets

PATH = "/api/v1/events/stream"

RETRY_MS = (500, 1500)
"""A browser comes back after a time out of this range, so that not all come back at once."""

_HEADERS = {
    hdrs.CONTENT_TYPE: "text/event-stream",
    hdrs.CACHE_CONTROL: "no-store",
    "X-Accel-Buffering": "no",  # nginx would else gather what is to be told at once
}


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
        answer = web.StreamResponse(headers=_HEADERS)
        answer.force_close()
        is_chunked = request.version >= HttpVersion11
        if is_chunked:
            answer.enable_chunked_encoding()
        transport = request.transport
        if transport is None:
            return answer
        listener = Listener(transport, chunked=is_chunked)
        feed = self._hub.enter(clinic, listener)
        try:
            await answer.prepare(request)
            await write_patiently(listener, answer, retry_line(random.randint(*RETRY_MS)))
            async with asyncio.timeout(self._hub.times.life_s):
                since = request.headers.get("Last-Event-ID") or None
                await self._hub.greet(feed, listener, answer, since)
                await listener.ended.wait()
        except InturnError:
            listener.send(frame_heartbeat(clinic, stale=True))
        except TimeoutError:
            pass  # its time is over
        finally:
            listener.end()
            self._hub.leave(feed, listener)
        return answer

    def _is_full(self) -> bool:
        most = self._listeners_max
        return len(self._hub) >= most and self._hub.count_living() >= most


def _clinic_of(request: web.Request) -> str:
    """Whatever else stands in the query is left alone: pages add to it to pass by caches."""
    clinics = request.query.getall("clinic", ())
    if len(clinics) != 1:
        raise RequestRefused(400, "missing_field", "clinic must stand in the query, once")
    return clinics[0]
