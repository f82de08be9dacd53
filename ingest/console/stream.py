"""``GET /api/v1/console/stream?view=``: one of the console's views, as server-sent events."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ingest.console.collector import Asked, Collector
from ingest.event_stream import begin_stream, listener_of, stream_answer
from shared.errors import RequestRefused
from shared.keys import INSTANCE_MAX_CHARS

PATH = "/api/v1/console/stream"

PAGES_MAX = 64
"""Open pages of one process; more would take connections from webhooks."""

LIFE_S = 300.0
"""The server ends a stream then, and the browser comes back: with a cookie that is still valid."""


class ConsoleStream:
    """The endpoint. Access was checked before it is called."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def routes(self) -> list[web.RouteDef]:
        """What this module answers."""
        return [web.get(PATH, self.stream, allow_head=False)]

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """
        What is there at once, then what changes, until the stream's time is over.

        Raises:
            RequestRefused: 400 there is no such view; 503 there are too many streams already.
        """
        asked = self._asked_by(request)
        if self._collector.is_closed or len(self._collector) >= PAGES_MAX:
            raise RequestRefused(503, "too_many_listeners", "too many streams are open here")
        answer = stream_answer(request)
        listener = listener_of(request, answer)
        if listener is None:
            return answer
        await begin_stream(request, answer, listener)
        view = self._collector.enter(asked, listener)
        try:
            async with asyncio.timeout(LIFE_S):
                await listener.ended.wait()
        except TimeoutError:
            pass
        finally:
            self._collector.leave(view, listener)
        await listener.end()
        return answer

    def _asked_by(self, request: web.Request) -> Asked:
        """Whatever else stands in the query is left alone: pages add to it to pass by caches."""
        views = request.query.getall("view", ())
        if len(views) != 1 or views[0] not in self._collector.names:
            known = ", ".join(self._collector.names)
            raise RequestRefused(400, "invalid_field", f"view must be one of: {known}")
        return Asked(
            view=views[0],
            instance=request.query.get("instance", "")[:INSTANCE_MAX_CHARS],
            users=request.query.get("users") == "1",
        )
