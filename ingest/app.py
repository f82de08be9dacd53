"""
The ingest service's HTTP side: which paths there are, and the limits of the server.

Other modules add their endpoints through ``routes``; what is not health, metrics, a webhook or for
who waits in a queue needs the token.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from structlog.typing import FilteringBoundLogger

from ingest.accepted import Appender
from ingest.auth import (
    ApiGuard,
    api_token_of,
    refuse_exposed,
    refuse_unverifiable,
    warn_of_open_webhooks,
)
from ingest.body import BodyReader
from ingest.connections import (
    Connections,
    LimitedRunner,
    connection_limit,
    open_files_limit,
)
from ingest.cookie import SessionCookie
from ingest.echoes import Judge, judge_nothing
from ingest.front import Front, shortcuts_to
from ingest.intake import Intake, Say
from ingest.messages import MessagesApi
from ingest.openapi import OpenApi
from ingest.pages import Pages
from ingest.session import SessionApi
from ingest.webhooks import Webhooks
from shared.health import Health, HealthCheck, Instead
from shared.metrics import IngestMetrics
from shared.providers import Provider
from shared.providers.registry import PROVIDERS
from shared.settings import Settings

IDLE_S = 75.0
"""A connection without a whole request header is closed: longer than proxies keep theirs (60 s)."""

LINGERING_S = 2.0
"""How long the rest of a refused body is read, so that its sender sees the answer."""

HEADER_MAX_BYTES = 8190
HEADERS_MAX = 64

CONNECTIONS: web.AppKey[Connections] = web.AppKey("connections", Connections)
FRONT: web.AppKey[Front] = web.AppKey("front", Front)

log: FilteringBoundLogger = structlog.get_logger()


def build_app(
    settings: Settings,
    *,
    appender: Appender,
    health: HealthCheck,
    metrics: IngestMetrics,
    instead: Instead = lambda: None,
    say: Say | None = None,
    providers: Mapping[str, Provider] = PROVIDERS,
    bodies: BodyReader | None = None,
    now_ms: Callable[[], int] | None = None,
    judge: Judge = judge_nothing,
    routes: Iterable[web.RouteDef] = (),
    open_routes: Iterable[web.RouteDef] = (),
    shows_metrics: bool = True,
) -> web.Application:
    """
    The application; ``make_runner`` runs it. ``routes`` need the token, ``open_routes`` none.

    ``health`` says what is wrong with Redis, or None, and ``instead`` what then keeps messages;
    ``shows_metrics`` as there. ``now_ms`` is the clock of
    ``received_at``. ``say`` logs each message that is kept, ``judge`` tells whose echoes are.

    Raises:
        StartRefused: it would listen beyond loopback without ``API_TOKEN``; or needs
            ``PUBLIC_URL`` to verify webhooks.
    """
    refuse_exposed(settings)
    refuse_unverifiable(settings, providers)
    warn_of_open_webhooks(settings, log)
    clock = now_ms or _now_ms
    reader = bodies or BodyReader()
    intake = Intake(appender, metrics, say)
    token = api_token_of(settings)
    cookie = None if token is None else SessionCookie(token, settings.public_url)
    guard = ApiGuard(token, cookie)
    webhooks = Webhooks(settings, providers, intake, reader, metrics, clock, judge)
    messages = guard.guarding(MessagesApi(settings, intake, reader, clock).routes())
    opened = guard.guarding_lightly([*Pages().routes(), *open_routes])
    app = web.Application()
    app[CONNECTIONS] = Connections(connection_limit(open_files_limit()), metrics)
    shortcuts = webhooks.shortcuts() | shortcuts_to(messages) | shortcuts_to(opened)
    app[FRONT] = Front(guard, metrics, app[CONNECTIONS], shortcuts)
    app.add_routes(Health(health, metrics, instead=instead, shows_metrics=shows_metrics).routes())
    app.add_routes(OpenApi(providers, has_token=token is not None).routes())
    app.add_routes(webhooks.routes())
    app.add_routes(messages)
    app.add_routes(opened)
    app.add_routes(SessionApi(guard, cookie, reader).routes())
    app.add_routes(guard.guarding(routes))
    return app


def make_runner(
    app: web.Application, metrics: IngestMetrics, shutdown_timeout_s: float = 2.0
) -> web.AppRunner:
    """
    A runner with the server's limits set.

    Bytes that are no HTTP are answered 400 by aiohttp itself and only counted: its own log
    would quote them, as an error.
    """
    return LimitedRunner(
        app,
        app[CONNECTIONS],
        app[FRONT].before,
        access_log=None,
        logger=_server_logger(metrics),
        auto_decompress=False,
        keepalive_timeout=IDLE_S,
        lingering_time=LINGERING_S,
        max_line_size=HEADER_MAX_BYTES,
        max_field_size=HEADER_MAX_BYTES,
        max_headers=HEADERS_MAX,
        shutdown_timeout=shutdown_timeout_s,
    )


def _server_logger(metrics: IngestMetrics) -> logging.Logger:
    """A logger of this runner alone: all of the process's lines go to the root's handlers."""
    logger = logging.Logger("ingest.server")  # noqa: LOG001 - the filter must not outlive the runner
    logger.parent = root = logging.getLogger()
    # aiohttp says at debug what begins a connection without being HTTP; it is to be counted too.
    logger.setLevel(logging.DEBUG)

    def keep(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            return root.isEnabledFor(record.levelno)
        metrics.requests_refused_total.labels("malformed_http").inc()
        log.info("request.refused", status=error.code, code="malformed_http")
        return False

    logger.addFilter(keep)
    return logger


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
