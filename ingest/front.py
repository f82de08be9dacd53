"""
Around every request: access, one form for errors, one line in the log, one observation.

It stands before the application and not among aiohttp's middlewares, each of which costs every
request a coroutine or two.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from structlog.typing import FilteringBoundLogger

from ingest.answers import error_answer
from ingest.auth import ApiGuard
from ingest.connections import Connections
from shared.errors import (
    BacklogFull,
    BrokerRefused,
    BrokerUnavailable,
    RequestRefused,
    SpoolUnavailable,
)
from shared.metrics import IngestMetrics

UNMATCHED = "unmatched"
"""The route of requests to paths that nobody serves: their own paths may hold secrets."""

_OPEN_PATHS = frozenset(
    {"/healthz", "/readyz", "/metrics", "/openapi.json", "/session", "/playground", "/console"}
)
_OPEN_PREFIXES = ("/webhooks/", "/api/v1/queue/", "/api/v1/events/", "/queue/", "/static/")

log: FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Shortcut:
    """What answers POST to one path, and the route that such requests count under."""

    route: str
    handler: Handler


def shortcuts_to(routes: Iterable[web.RouteDef]) -> dict[str, Shortcut]:
    """Those among ``routes`` that are one path each, which is then also their name."""
    return {
        route.path: Shortcut(route.path, cast(Handler, route.handler))
        for route in routes
        if route.method == hdrs.METH_POST and "{" not in route.path
    }


NO_SHORTCUTS: Mapping[str, Shortcut] = MappingProxyType({})


class Front:
    """
    What stands before all handlers of one server.

    ``shortcuts`` are paths, exactly as requests spell them, whose handlers need nothing of the
    application: neither its match of the path nor its signals. Finding a handler is a sixth of
    what a webhook costs there. All other requests, and all that expect something, go through it.
    """

    def __init__(
        self,
        guard: ApiGuard,
        metrics: IngestMetrics,
        connections: Connections,
        shortcuts: Mapping[str, Shortcut] = NO_SHORTCUTS,
    ) -> None:
        self._guard = guard
        self._metrics = metrics
        self._connections = connections
        self._shortcuts = shortcuts
        self._is_each_logged = log.is_enabled_for(logging.DEBUG)

    def before(self, application: Handler) -> Handler:
        """``application`` with all of this around it; raises nothing but the end of its task."""

        async def answer(request: web.Request) -> web.StreamResponse:
            begun = time.perf_counter()
            answer: web.StreamResponse | None = None
            self._connections.note(request.protocol, request)
            shortcut = self._shortcut_of(request)
            try:
                if shortcut is None:
                    answer = await application(request)
                else:
                    answer = await shortcut.handler(request)
            except Exception as error:  # noqa: BLE001 - every one has an answer; ours are logged
                route = _route_of(request) if shortcut is None else shortcut.route
                answer = self._answer_failure(request, route, error)
                error.__traceback__ = None  # it holds the request, which may hold the error
            finally:
                self._connections.note(request.protocol, answer)
            route = _route_of(request) if shortcut is None else shortcut.route
            self._observe(request, route, answer, time.perf_counter() - begun)
            return answer

        return answer

    def _shortcut_of(self, request: web.Request) -> Shortcut | None:
        shortcut = self._shortcuts.get(request.raw_path)
        if shortcut is None or request.method != hdrs.METH_POST or hdrs.EXPECT in request.headers:
            return None
        return shortcut

    def _observe(
        self, request: web.Request, route: str, answer: web.StreamResponse, took_s: float
    ) -> None:
        self._metrics.request_seconds.labels(route).observe(took_s)
        # Not aiohttp's access log: it prints paths, queries and agents, where secrets stand.
        if self._is_each_logged:
            log.debug(
                "request.answered",
                method=request.method,
                route=route,
                status=answer.status,
                bytes=answer.content_length,
                took_ms=round(took_s * 1000, 3),
            )

    def _answer_failure(self, request: web.Request, route: str, error: Exception) -> web.Response:
        """``{"error": {"code", "message"}}``; only our bugs are logged as errors."""
        match error:
            case RequestRefused():
                return self._refuse(route, error.status, error.code, str(error))
            case BrokerUnavailable() | BrokerRefused():
                why = "Redis does not answer, or refuses, now; send again"
                return self._refuse(route, 503, "unavailable", why)
            case BacklogFull():
                why = "too many messages wait to be handled; send again later"
                return self._refuse(route, 503, "backlog_full", why)
            case SpoolUnavailable():
                why = "neither Redis nor the spool keeps messages now; send again"
                return self._refuse(route, 503, "spool_unavailable", why)
            case web.HTTPException():
                return self._answer_http(request, route, error)
        log.error("request.failed", method=request.method, route=route, exc_info=error)
        self._metrics.requests_refused_total.labels("internal").inc()
        return error_answer(500, "internal", "internal error")

    def _answer_http(
        self, request: web.Request, route: str, error: web.HTTPException
    ) -> web.Response:
        """The router's and aiohttp's own refusals in our form."""
        if route == UNMATCHED and not _is_open(request.path):
            try:
                self._guard.check(request)
            except RequestRefused as refused:
                return self._refuse(route, refused.status, refused.code, str(refused))
        if isinstance(error, web.HTTPMethodNotAllowed):
            allowed = ", ".join(sorted(error.allowed_methods))
            message = f"the method is not allowed here; allowed: {allowed}"
            return self._refuse(route, 405, "method_not_allowed", message, {"Allow": allowed})
        if isinstance(error, web.HTTPNotFound):
            return self._refuse(route, 404, "not_found", "there is nothing at this path")
        code = error.reason.lower().replace(" ", "_")
        return self._refuse(route, error.status, code, error.reason)

    def _refuse(
        self,
        route: str,
        status: int,
        code: str,
        message: str,
        headers: dict[str, str] | None = None,
    ) -> web.Response:
        self._metrics.requests_refused_total.labels(code).inc()
        log.info("request.refused", route=route, status=status, code=code)
        return error_answer(status, code, message, headers)


def _is_open(path: str) -> bool:
    """Whether a path that has no route, or not for this method, says so to everybody."""
    return path in _OPEN_PATHS or path.startswith(_OPEN_PREFIXES)


def _route_of(request: web.Request) -> str:
    """The route's template, never the path: bounded in number, and without what callers wrote."""
    resource = request.match_info.route.resource
    return UNMATCHED if resource is None else resource.canonical
