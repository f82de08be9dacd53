"""The ingest service: webhooks and the API over HTTP, appended to Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from structlog.typing import FilteringBoundLogger

from ingest.app import build_app, make_runner
from ingest.append import RedisAppender
from ingest.conversations import Conversations
from ingest.intake import Say
from shared.connect import Pipe
from shared.errors import BrokerRefused
from shared.keys import Keys
from shared.meta_keeper import keep_meta
from shared.metrics import IngestMetrics, InstanceLabels
from shared.preflight import Prepared
from shared.service import in_background, listening, run_prepared
from shared.settings import Settings
from shared.survey import keep_surveying

APPEND_TIMEOUT_MS = 2000
"""A provider waits for its answer; what Redis has not answered by then is asked again."""

READ_TIMEOUT_MS = 2000
SURVEY_S = 15.0

log: FilteringBoundLogger = structlog.get_logger()


async def serve_ingest(
    settings: Settings,
    redis_url: str,
    found: Prepared,
    stop: asyncio.Event,
    *,
    say: Say | None = None,
    on_ready: Callable[[int], None] = lambda _port: None,
) -> None:
    """
    Serve until ``stop`` is set; ``on_ready`` is told the port, ``say`` logs each message.

    What was answered 2xx is in Redis; a request that is cut off by the end of the process was
    not answered, so its provider sends it again.
    """
    metrics, keys = IngestMetrics(InstanceLabels(settings.metrics_instances)), found.keys
    writes = Pipe(redis_url, timeout_ms=APPEND_TIMEOUT_MS, name="append")
    writes.on_batch = metrics.append_batch_messages.observe
    reads = Pipe(redis_url, timeout_ms=READ_TIMEOUT_MS, name="status")
    appender = RedisAppender(writes, keys, settings.dedupe_ms, metrics)

    async def check() -> str | None:
        return await _what_is_wrong(reads, keys)

    app = build_app(
        settings,
        appender=appender,
        health=check,
        metrics=metrics,
        say=say,
        routes=Conversations(reads, keys, settings).routes(),
    )
    runner = make_runner(app, metrics)
    survey = keep_surveying(reads, keys, metrics, SURVEY_S)
    meta = keep_meta(reads, found, metrics)
    async with (
        in_background(append=writes.run(), status=reads.run(), survey=survey, meta=meta),
        listening(runner, settings.host, settings.port, "INTURN_PORT") as port,
    ):
        on_ready(port)
        await stop.wait()


async def _what_is_wrong(pipe: Pipe, keys: Keys) -> str | None:
    """Does Redis take a write that it refuses when it is full, a replica, or has a broken disk?"""
    try:
        await pipe.call("HSET", keys.meta, "checked", "1")
    except BrokerRefused as error:
        return f"Redis refuses writes: {error.code}"
    return None


def main() -> int:
    """``inturn ingest``: the service until a signal; returns the exit code."""
    return run_prepared(_serve_alone)


async def _serve_alone(
    settings: Settings, redis_url: str, found: Prepared, stop: asyncio.Event
) -> None:
    def announce(port: int) -> None:
        log.info("ingest.started", host=settings.host, port=port)

    await serve_ingest(settings, redis_url, found, stop, on_ready=announce)
