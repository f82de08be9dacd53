"""
Around every request: access, one form for errors, one line in the log, one observation.

It stands before the application and not among aiohttp's middlewares, each of which costs every
request a coroutine or two.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import cast

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from structlog.typing import FilteringBoundLogger

from ingest.answers import error_answer
from ingest.auth import ApiGuard
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

_OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
_OPEN_PREFIX = "/webhooks/"

log: FilteringBoundLogger = structlog.get_logger()


class Front:
    """What stands before all handlers of one server."""

    def __init__(self, guard: ApiGuard, metrics: IngestMetrics) -> None:
        self._guard = guard
        self._metrics = metrics
        self._is_each_logged = log.is_enabled_for(logging.DEBUG)

    def guarded(self, routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
        """The same routes for who has the token, and 401 for others."""
        return [self._guarded(route) for route in routes]

    def _guarded(self, route: web.RouteDef) -> web.RouteDef:
        handler = cast(Handler, route.handler)

        async def check_and_handle(request: web.Request) -> web.StreamResponse:
            self._guard.check(request)
            return await handler(request)

        return web.RouteDef(route.method, route.path, check_and_handle, route.kwargs)

    def before(self, handler: Handler) -> Handler:
        """``handler`` with all of this around it: never raises, but for the end of its task."""

        async def answer(request: web.Request) -> web.StreamResponse:
            begun = time.perf_counter()
            try:
                answer = await handler(request)
            except Exception as error:  # noqa: BLE001 - every one has an answer; ours are logged
                answer = self._answer_failure(request, error)
            self._observe(request, answer, time.perf_counter() - begun)
            return answer

        return answer

    def _observe(self, request: web.Request, answer: web.StreamResponse, took_s: float) -> None:
        # Not aiohttp's access log: it prints paths, queries and agents, where secrets stand.
        route = route_of(request)
        self._metrics.request_seconds.labels(route).observe(took_s)
        if self._is_each_logged:
            log.debug(
                "request.answered",
                method=request.method,
                route=route,
                status=answer.status,
                bytes=answer.content_length,
                took_ms=round(took_s * 1000, 3),
            )

    def _answer_failure(self, request: web.Request, error: Exception) -> web.Response:
        """``{"error": {"code", "message"}}``; only our bugs are logged as errors."""
        match error:
            case RequestRefused():
                return self._refuse(request, error.status, error.code, str(error))
            case BrokerUnavailable() | BrokerRefused():
                why = "Redis does not answer, or refuses, now; send again"
                return self._refuse(request, 503, "unavailable", why)
            case BacklogFull():
                why = "too many messages wait to be handled; send again later"
                return self._refuse(request, 503, "backlog_full", why)
            case SpoolUnavailable():
                why = "neither Redis nor the spool keeps messages now; send again"
                return self._refuse(request, 503, "spool_unavailable", why)
            case web.HTTPException():
                return self._answer_http(request, error)
        route = route_of(request)
        log.error("request.failed", method=request.method, route=route, exc_info=error)
        self._metrics.requests_refused_total.labels("internal").inc()
        return error_answer(500, "internal", "internal error")

    def _answer_http(self, request: web.Request, error: web.HTTPException) -> web.Response:
        """The router's and aiohttp's own refusals in our form."""
        if route_of(request) == UNMATCHED and not _is_open(request.path):
            try:
                self._guard.check(request)
            except RequestRefused as refused:
                return self._refuse(request, refused.status, refused.code, str(refused))
        if isinstance(error, web.HTTPMethodNotAllowed):
            allowed = ", ".join(sorted(error.allowed_methods))
            message = f"the method is not allowed here; allowed: {allowed}"
            return self._refuse(request, 405, "method_not_allowed", message, {"Allow": allowed})
        if isinstance(error, web.HTTPNotFound):
            return self._refuse(request, 404, "not_found", "there is nothing at this path")
        code = error.reason.lower().replace(" ", "_")
        return self._refuse(request, error.status, code, error.reason)

    def _refuse(
        self,
        request: web.Request,
        status: int,
        code: str,
        message: str,
        headers: dict[str, str] | None = None,
    ) -> web.Response:
        self._metrics.requests_refused_total.labels(code).inc()
        log.info("request.refused", route=route_of(request), status=status, code=code)
        return error_answer(status, code, message, headers)


def _is_open(path: str) -> bool:
    """Whether a path that has no route, or not for this method, says so to everybody."""
    return path in _OPEN_PATHS or path.startswith(_OPEN_PREFIX)


def route_of(request: web.Request) -> str:
    """The route's template, never the path: bounded in number, and without what callers wrote."""
    resource = request.match_info.route.resource
    return UNMATCHED if resource is None else resource.canonical
