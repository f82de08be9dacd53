"""Around every request: access, one form for errors, one line in the log, one observation."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
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


def observe_requests(metrics: IngestMetrics) -> Middleware:
    """
    Time each request, and log it at debug.

    aiohttp's own access log prints paths, queries and agents, where secrets and numbers stand.
    """

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        begun = time.perf_counter()
        answer = await handler(request)
        took_s = time.perf_counter() - begun
        route = route_of(request)
        metrics.request_seconds.labels(route).observe(took_s)
        log.debug(
            "request.answered",
            method=request.method,
            route=route,
            status=answer.status,
            bytes=answer.content_length,
            took_ms=round(took_s * 1000, 3),
        )
        return answer

    return observe


def answer_errors(metrics: IngestMetrics) -> Middleware:
    """Every failure as ``{"error": {"code", "message"}}``; only our bugs are logged as errors."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except RequestRefused as error:
            return refuse(request, error.status, error.code, str(error))
        except (BrokerUnavailable, BrokerRefused):
            why = "Redis does not answer, or refuses, now; send again"
            return refuse(request, 503, "unavailable", why)
        except BacklogFull:
            why = "too many messages wait to be handled; send again later"
            return refuse(request, 503, "backlog_full", why)
        except SpoolUnavailable:
            why = "neither Redis nor the spool keeps messages now; send again"
            return refuse(request, 503, "spool_unavailable", why)
        except web.HTTPException as error:
            return _refuse_like(request, error, refuse)
        except Exception:
            log.exception("request.failed", method=request.method, route=route_of(request))
            metrics.requests_refused_total.labels("internal").inc()
            return error_answer(500, "internal", "internal error")

    def refuse(
        request: web.Request,
        status: int,
        code: str,
        message: str,
        headers: dict[str, str] | None = None,
    ) -> web.Response:
        metrics.requests_refused_total.labels(code).inc()
        log.info("request.refused", route=route_of(request), status=status, code=code)
        return error_answer(status, code, message, headers)

    return answer


def require_token(guard: ApiGuard) -> Middleware:
    """Everything needs the token but health, metrics and webhooks, which bring their own proof."""

    @web.middleware
    async def require(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_open(request):
            guard.check(request)
        return await handler(request)

    return require


def _is_open(request: web.Request) -> bool:
    """Judged by the route that will run; what has none is answered 404 or 405 whatever happens."""
    route = route_of(request)
    path = request.path if route == UNMATCHED else route
    return path in _OPEN_PATHS or path.startswith(_OPEN_PREFIX)


def route_of(request: web.Request) -> str:
    """The route's template, never the path: bounded in number, and without what callers wrote."""
    resource = request.match_info.route.resource
    return UNMATCHED if resource is None else resource.canonical


def _refuse_like(
    request: web.Request, error: web.HTTPException, refuse: Callable[..., web.Response]
) -> web.Response:
    """The router's and aiohttp's own refusals in our form."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        message = f"the method is not allowed here; allowed: {allowed}"
        return refuse(request, 405, "method_not_allowed", message, {"Allow": allowed})
    if isinstance(error, web.HTTPNotFound):
        return refuse(request, 404, "not_found", "there is nothing at this path")
    code = error.reason.lower().replace(" ", "_")
    return refuse(request, error.status, code, error.reason)
