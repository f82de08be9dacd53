"""The ingest service: webhooks and the API over HTTP, appended to Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from structlog.typing import FilteringBoundLogger

from ingest.accepted import Appender
from ingest.app import build_app, make_runner
from ingest.append import DEADLINE_S, TIMEOUT_MS, RedisAppender
from ingest.backlog import BacklogLimit
from ingest.conversations import Conversations
from ingest.intake import Say
from ingest.outage import SpoolingAppender
from ingest.spool.replayer import Replayer
from ingest.spool.spool import Spool, now_ms
from shared.connect import Pipe, open_pipe
from shared.durability import Durability
from shared.errors import BrokerRefused
from shared.health import HealthCheck, Instead
from shared.keys import Keys
from shared.meta_keeper import keep_meta
from shared.metrics import IngestMetrics, InstanceLabels
from shared.preflight import Prepared
from shared.service import in_background, listening, prepare_once, prepared, run_configured
from shared.settings import Settings
from shared.survey import keep_surveying, survey_store

SPOOLED_APPEND_DEADLINE_S = 0.3
"""Where there is a spool, a message is kept there rather than asked for again and again."""

REPLAY_TIMEOUT_MS = 5000
"""Nobody waits for the answer to a replay: a slow Redis gets its time."""

READ_TIMEOUT_MS = 2000
SURVEY_S = 15.0

log: FilteringBoundLogger = structlog.get_logger()


async def serve_ingest(
    settings: Settings,
    redis_url: str,
    stop: asyncio.Event,
    *,
    say: Say | None = None,
    on_ready: Callable[[int], None] = lambda _port: None,
) -> None:
    """
    Serve until ``stop`` is set; ``on_ready`` is told the port, ``say`` logs each message.

    What was answered 2xx is in Redis or in the spool; a request that is cut off by the end of
    the process was not answered, so its provider sends it again. Without a spool it waits for
    Redis before it listens; with one it does not.

    Raises:
        StartRefused: Redis is not fit, or its data was made with other settings; or the spool's
            folder cannot be written.
    """
    found: asyncio.Future[Prepared] = asyncio.get_running_loop().create_future()
    if settings.on_outage == "reject":
        at_once = await prepared(settings, redis_url, stop)
        if at_once is None:
            return
        found.set_result(at_once)
    keys = Keys(settings.prefix, settings.partitions)
    metrics = IngestMetrics(InstanceLabels(settings.metrics_instances))
    reads = Pipe(redis_url, timeout_ms=READ_TIMEOUT_MS, name="status")

    async def check() -> str | None:
        return await _what_is_wrong(reads, keys)

    if settings.on_outage == "reject":
        keeping = _keeping_in_redis(settings, redis_url, keys, metrics)
    else:
        keeping = _keeping_in_spool(settings, redis_url, keys, metrics, check, found)

    async def count_backlog() -> int:
        return (await survey_store(reads, keys)).backlog_messages

    async with keeping as (appender, health, instead):
        limited = BacklogLimit(appender, settings.backlog_limit, count_backlog)
        app = build_app(
            settings,
            appender=limited,
            health=health,
            instead=instead,
            metrics=metrics,
            say=say,
            routes=Conversations(reads, keys, settings).routes(),
        )
        survey = keep_surveying(reads, keys, metrics, SURVEY_S, tell=limited.note)
        meta = _keep_meta(reads, found, metrics)
        async with (
            in_background(status=reads.run(), survey=survey, meta=meta),
            listening(
                make_runner(app, metrics), settings.host, settings.port, "INTURN_PORT"
            ) as port,
        ):
            on_ready(port)
            await stop.wait()


Keeping = tuple[Appender, HealthCheck, Instead]
"""Who keeps messages; what is wrong with Redis; what keeps them instead."""


@asynccontextmanager
async def _keeping_in_redis(
    settings: Settings, redis_url: str, keys: Keys, metrics: IngestMetrics
) -> AsyncIterator[Keeping]:
    """The policy ``reject``: ready is who can write as durably as is set."""
    durability = Durability.parse(settings.durability)
    writes = Pipe(redis_url, timeout_ms=TIMEOUT_MS, name="append", durability=durability)
    writes.on_batch = metrics.append_batch_messages.observe
    appender = RedisAppender(writes, keys, settings.dedupe_ms, metrics, limit_s=DEADLINE_S)

    async def health() -> str | None:
        return await _what_is_wrong(writes, keys)

    async with in_background(append=writes.run()):
        yield appender, health, lambda: None


@asynccontextmanager
async def _keeping_in_spool(
    settings: Settings,
    redis_url: str,
    keys: Keys,
    metrics: IngestMetrics,
    check: HealthCheck,
    found: asyncio.Future[Prepared],
) -> AsyncIterator[Keeping]:
    """
    The policy ``spool``; ``found`` is told what was prepared, as soon as Redis is there.

    Messages go to the spool until the data were found to be made for this many partitions: in
    the wrong partition nobody would look for them.
    """
    durable = Durability.parse(settings.durability)
    writes = Pipe(redis_url, timeout_ms=TIMEOUT_MS, name="append", durability=durable)
    writes.on_batch = metrics.append_batch_messages.observe
    replays = Pipe(redis_url, timeout_ms=REPLAY_TIMEOUT_MS, name="replay", durability=durable)
    redis = RedisAppender(writes, keys, settings.dedupe_ms, metrics, SPOOLED_APPEND_DEADLINE_S)
    patient = RedisAppender(replays, keys, settings.dedupe_ms, metrics, deadline_s=0)

    async def probe() -> None:
        if not found.done():
            # not on the durable one: it would not say that this Redis can never be
            async with open_pipe(redis_url, timeout_ms=REPLAY_TIMEOUT_MS, name="start") as pipe:
                found.set_result(await prepare_once(pipe, settings))
        await _touch(replays, keys)

    folder, prefix = settings.spool_dir, settings.prefix
    spool = Spool(folder, prefix, settings.spool_max_bytes, metrics, now_ms)
    appender = SpoolingAppender(redis, spool, Replayer(spool, patient, metrics), probe)

    async def health() -> str | None:
        return appender.reason or await check()

    try:
        async with in_background(append=writes.run(), replay=replays.run()):
            await appender.start()
            async with in_background(
                drain=appender.keep_draining(), room=spool.room.keep_measuring()
            ):
                yield appender, health, lambda: appender.keeps
    finally:
        spool.close()


async def _keep_meta(pipe: Pipe, found: asyncio.Future[Prepared], metrics: IngestMetrics) -> None:
    await keep_meta(pipe, await found, metrics)


async def _touch(pipe: Pipe, keys: Keys) -> None:
    """A write that Redis refuses when it is full, a replica, or has a broken disk."""
    await pipe.call("HSET", keys.meta, "checked", "1")


async def _what_is_wrong(pipe: Pipe, keys: Keys) -> str | None:
    """Does Redis take writes?"""
    try:
        await _touch(pipe, keys)
    except BrokerRefused as error:
        return f"Redis refuses writes: {error.code}"
    return None


def main() -> int:
    """``inturn ingest``: the service until a signal; returns the exit code."""
    return run_configured(_serve_alone)


async def _serve_alone(settings: Settings, redis_url: str, stop: asyncio.Event) -> None:
    def announce(port: int) -> None:
        log.info("ingest.started", host=settings.host, port=port)

    await serve_ingest(settings, redis_url, stop, on_ready=announce)
