"""The ingest service: webhooks and the API over HTTP, appended to Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from ingest.app import build_app, make_runner
from ingest.backlog import BacklogLimit
from ingest.console.serving import serving_console
from ingest.conversations import Conversations
from ingest.dead_letters import DeadLettersApi
from ingest.echoes import EchoJudge
from ingest.forget import ForgetApi
from ingest.forgets import Forgets, new_process_name
from ingest.instances import InstancesApi
from ingest.intake import Say
from ingest.keeping import keeping, what_is_wrong
from ingest.mutes import MutesApi
from ingest.part_routes import PartRoutes
from ingest.playground import Playground, is_playground_on
from ingest.replies import RepliesApi
from ingest.report import ReportApi
from ingest.spool_api import SpoolApi
from ingest.ticketing import serving_tickets
from shared.connect import Pipe, pipe_to
from shared.health import Health
from shared.holdings import keep_measuring
from shared.keys import Keys
from shared.meta_keeper import keep_meta
from shared.metrics import IngestMetrics, InstanceLabels, StoreMetrics
from shared.preflight import Prepared
from shared.service import in_background, listening, prepared, run_configured
from shared.settings import Settings
from shared.steering_store import SteeringStore
from shared.survey import Surveyor, keep_surveying

READ_TIMEOUT_MS = 2000
SURVEY_S = 15.0

log: FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOfSeveral:
    """Of several processes on one ``port``: its number from 0, and where it alone is asked."""

    number: int
    port: int
    metrics_port: int


async def serve_ingest(
    settings: Settings,
    redis_url: str,
    stop: asyncio.Event,
    *,
    say: Say | None = None,
    on_ready: Callable[[int], None] = lambda _port: None,
    beside: Sequence[StoreMetrics] = (),
    embeds_redis: bool = False,
    one: OneOfSeveral | None = None,
) -> None:
    """
    Serve until ``stop`` is set; ``on_ready`` is told the port, ``say`` logs each message.
    What is found out about the store is also shown in the metrics of the services ``beside``.
    ``embeds_redis``: it is a private one, so that nobody else's messages are in it. ``one``: others
    serve the same port, and health and metrics of this process alone have a port of their own.

    What was answered 2xx is in Redis or in the spool; a request that is cut off by the end of
    the process was not answered, so its provider sends it again. Without a spool it waits for
    Redis before it listens; with one it does not.

    Raises:
        StartRefused: Redis is not fit, or its data was made with other settings; or the spool's
            folder cannot be written.
    """
    found: asyncio.Future[Prepared] = asyncio.get_running_loop().create_future()
    if settings.on_outage == "reject" and not await _is_found(found, settings, redis_url, stop):
        return
    keys = Keys(settings.prefix, settings.partitions)
    metrics = IngestMetrics(InstanceLabels(settings.metrics_instances))
    reads = pipe_to(redis_url, timeout_ms=READ_TIMEOUT_MS, name="status")
    has_playground = is_playground_on(settings, embeds_redis=embeds_redis)
    playground = Playground(settings, SteeringStore(reads, keys).read, is_on=has_playground)
    forgets = Forgets(reads, keys, settings.spool_dir, new_process_name())
    check = partial(what_is_wrong, reads, keys)
    surveyor = Surveyor(reads, keys)
    async with (
        keeping(settings, redis_url, keys, metrics, check, found, forgets) as (
            appender,
            health,
            instead,
        ),
        _serving_parts(settings, redis_url, reads, keys, metrics, playground) as parts,
    ):
        limited = BacklogLimit(appender, settings.backlog_limit, surveyor.backlog)
        app = build_app(
            settings,
            appender=limited,
            health=health,
            instead=instead,
            metrics=metrics,
            say=say,
            judge=EchoJudge(reads, keys, settings).judge,
            routes=parts.staff,
            open_routes=parts.open,
            shows_metrics=one is None,
        )
        async with (
            _watching(reads, keys, surveyor, limited, forgets, found, (metrics, *beside)),
            _telling(Health(health, metrics, instead=instead), settings.host, one),
            _listening(app, metrics, settings, one) as port,
        ):
            on_ready(port)
            await stop.wait()
            await forgets.leave()
            parts.end_streams()


async def _is_found(
    found: asyncio.Future[Prepared], settings: Settings, redis_url: str, stop: asyncio.Event
) -> bool:
    """Wait for Redis and tell ``found``; False: ``stop`` was set before it was there."""
    at_once = await prepared(settings, redis_url, stop)
    if at_once is not None:
        found.set_result(at_once)
    return at_once is not None


@asynccontextmanager
async def _serving_parts(
    settings: Settings,
    redis_url: str,
    reads: Pipe,
    keys: Keys,
    metrics: IngestMetrics,
    playground: Playground,
) -> AsyncIterator[PartRoutes]:
    """All that is served besides messages and webhooks, as long as the block."""
    async with (
        serving_tickets(settings, redis_url, reads, metrics) as tickets,
        serving_console(settings, reads, keys, metrics) as console,
    ):

        def end_streams() -> None:
            tickets.end_streams()
            console.end_streams()

        yield PartRoutes(
            open=[*tickets.open, *playground.open_routes(), *console.open],
            staff=[
                *_routes(reads, keys, settings, metrics),
                *tickets.staff,
                *playground.routes(),
                *console.staff,
            ],
            end_streams=end_streams,
        )


def _routes(
    reads: Pipe, keys: Keys, settings: Settings, metrics: IngestMetrics
) -> list[web.RouteDef]:
    """What asks Redis or the spool, and needs the token."""
    return [
        *Conversations(reads, keys, settings).routes(),
        *MutesApi(reads, keys).routes(),
        *ForgetApi(reads, keys).routes(),
        *ReportApi(reads, settings).routes(),
        *InstancesApi(reads, keys, settings).routes(),
        *DeadLettersApi(reads, keys).routes(),
        *RepliesApi(reads, keys, settings).routes(),
        *SpoolApi(settings, metrics).routes(),
    ]


def _watching(
    reads: Pipe,
    keys: Keys,
    surveyor: Surveyor,
    limited: BacklogLimit,
    forgets: Forgets,
    found: asyncio.Future[Prepared],
    shown: Sequence[StoreMetrics],
) -> AbstractAsyncContextManager[None]:
    """The tasks that look at the store as long as the block, and what they read through."""
    return in_background(
        status=reads.run(),
        survey=keep_surveying(surveyor, shown, SURVEY_S, tell=limited.note),
        holdings=keep_measuring(reads, keys, shown),
        meta=_keep_meta(reads, found, shown),
        heeding=forgets.keep_heeding(),
    )


@asynccontextmanager
async def _telling(health: Health, host: str, one: OneOfSeveral | None) -> AsyncIterator[None]:
    """Health and metrics of one of several processes, on the port that is its own."""
    if one is None:
        yield
        return
    app = web.Application()
    app.add_routes(health.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    async with listening(runner, host, one.metrics_port, "INTURN_METRICS_PORT") as port:
        log.info("process.listening", metrics_port=port)
        yield


def _listening(
    app: web.Application, metrics: IngestMetrics, settings: Settings, one: OneOfSeveral | None
) -> AbstractAsyncContextManager[int]:
    """The application, on the port that ``one`` of several shares with the others."""
    return listening(
        make_runner(app, metrics),
        settings.host,
        settings.port if one is None else one.port,
        "INTURN_PORT",
        is_shared=one is not None,
    )


async def _keep_meta(
    pipe: Pipe, found: asyncio.Future[Prepared], metrics: Sequence[StoreMetrics]
) -> None:
    await keep_meta(pipe, await found, *metrics)


def main(one: OneOfSeveral | None = None) -> int:
    """``inturn ingest``: the service until a signal; returns the exit code."""
    if one is not None:
        structlog.contextvars.bind_contextvars(process=one.number)
    return run_configured(partial(_serve_alone, one=one))


async def _serve_alone(
    settings: Settings, redis_url: str, stop: asyncio.Event, *, one: OneOfSeveral | None
) -> None:
    def announce(port: int) -> None:
        log.info("ingest.started", host=settings.host, port=port)

    await serve_ingest(settings, redis_url, stop, on_ready=announce, one=one)
