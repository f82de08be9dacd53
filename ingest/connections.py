"""
How many connections ingest holds, and which one goes when there is one too many.

aiohttp takes whatever the kernel gives it. With every file handle in a client's hand, Redis could
not be connected to again, the spool opens no file, and no probe gets an answer. So the server
stops in time: a new connection takes the place of the one on which nothing happened for longest.
Whoever holds thousands open without a word, or with half a body, loses them first; a request whose
body has come whole is never cut.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from shared.metrics import IngestMetrics

MOST = 16_384
"""Connections at most, however many files may be open: an idle one costs 5 KiB."""

RESERVED_FILES = 1024
"""Handles kept for Redis, the spool, handlers and providers (``up``), and a burst of accepts."""

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


def connection_limit(files: int) -> int:
    """How many connections a process may hold that may open ``files`` files; always some."""
    return max(1, min(files - min(RESERVED_FILES, files // 2), MOST))


def open_files_limit() -> int:
    """How many files this process may open now."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST + RESERVED_FILES if soft == resource.RLIM_INFINITY else soft


class Connections:
    """
    The open connections of one server, in the order of their last event: they were opened, a
    request's head had come, or its answer was given. Bytes of a body are none, or who sends one a
    second would stay for ever.

    With each stands its request while it is being answered, then the answer, which may still be
    on its way.
    """

    def __init__(self, limit: int, metrics: IngestMetrics) -> None:
        self._limit = limit
        self._metrics = metrics
        self._open: dict[web.RequestHandler, web.BaseRequest | web.StreamResponse | None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, protocol: web.RequestHandler, transport: asyncio.Transport) -> None:
        """A client has connected; another one goes if there are too many, or this one."""
        if len(self._open) >= self._limit and not self._make_room():
            self._metrics.connections_dropped_total.labels(kind="new").inc()
            transport.write(_FULL)
            protocol.force_close()
            return
        self._open[protocol] = None

    def leave(self, protocol: web.RequestHandler) -> None:
        """It is closed."""
        self._open.pop(protocol, None)

    def note(
        self, protocol: web.RequestHandler, now: web.BaseRequest | web.StreamResponse | None
    ) -> None:
        """
        Its last event is now: this request's head has come, or it got this answer. None: its
        handler was ended without one.
        """
        if protocol in self._open:
            del self._open[protocol]
            self._open[protocol] = now

    def _make_room(self) -> bool:
        """Close the one whose last event is oldest, of those whose answer is not awaited."""
        for protocol, now in self._open.items():
            if isinstance(now, web.BaseRequest):
                kind = "" if now.content.is_eof() else "slow"
            else:
                kind = "idle" if now is None or now.prepared else ""
            if kind:
                self._metrics.connections_dropped_total.labels(kind=kind).inc()
                self.leave(protocol)
                protocol.force_close()
                return True
        return False


class LimitedRunner(web.AppRunner):
    """
    An ``AppRunner`` whose server tells ``connections`` of each that comes and goes. ``before``
    is what stands before its application, and tells them of requests.
    """

    __slots__ = ("_before", "_connections")

    def __init__(
        self,
        app: web.Application,
        connections: Connections,
        before: Callable[[Handler], Handler],
        **options: object,
    ) -> None:
        super().__init__(app, **options)  # type: ignore[arg-type]
        self._connections = connections
        self._before = before

    async def setup(self) -> None:
        """As usual; aiohttp has no hook for this but the methods that it calls itself."""
        await super().setup()
        server, connections = self.server, self._connections
        assert server is not None
        made, lost = server.connection_made, server.connection_lost

        def connection_made(protocol: web.RequestHandler, transport: asyncio.Transport) -> None:
            made(protocol, transport)
            connections.enter(protocol, transport)

        def connection_lost(
            protocol: web.RequestHandler, error: BaseException | None = None
        ) -> None:
            connections.leave(protocol)
            lost(protocol, error)

        server.request_handler = self._before(server.request_handler)  # type: ignore[assignment]
        server.connection_made = connection_made  # type: ignore[assignment, method-assign]
        server.connection_lost = connection_lost  # type: ignore[assignment, method-assign]
