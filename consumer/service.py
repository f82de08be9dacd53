"""The consumer service: a worker, and its health and metrics over HTTP."""

from __future__ import annotations

import asyncio

from aiohttp import web

from consumer.attempt import Say
from consumer.worker import Worker
from shared.connect import pipe_to
from shared.health import Health
from shared.holdings import keep_measuring
from shared.meta_keeper import keep_meta
from shared.metrics import ConsumerMetrics
from shared.preflight import Prepared
from shared.service import in_background, listening, run_prepared, watch_loop
from shared.settings import Settings
from shared.survey import Surveyor, keep_surveying

SURVEY_S = 15.0
SURVEY_TIMEOUT_MS = 5000


async def serve_consumer(
    settings: Settings,
    redis_url: str,
    found: Prepared,
    stop: asyncio.Event,
    *,
    say: Say | None = None,
    shown: ConsumerMetrics | None = None,
) -> None:
    """
    Run one worker until ``stop`` is set and it has drained; ``say`` logs each window. ``shown``
    are metrics that a service beside this one keeps true about the store.
    """
    metrics, keys = shown or ConsumerMetrics(), found.keys
    worker = Worker(settings, redis_url, keys, metrics, say=say)
    pipe = pipe_to(redis_url, timeout_ms=SURVEY_TIMEOUT_MS, name="survey")

    async def check() -> str | None:
        await pipe.call_everywhere("PING")
        return None if worker.is_ready() else "the worker has not joined yet"

    app = web.Application()
    app.add_routes(Health(check, metrics).routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    watched = watch_loop(settings.lease_ms, metrics.loop_lag_seconds.observe)
    works = {"pipe": pipe.run(), "watchdog": watched}
    if shown is None:
        works["survey"] = keep_surveying(Surveyor(pipe, keys), [metrics], SURVEY_S)
        works["holdings"] = keep_measuring(pipe, keys, [metrics])
        works["meta"] = keep_meta(pipe, found, metrics)
    async with (
        in_background(**works),
        listening(runner, settings.host, settings.consumer_port, "INTURN_CONSUMER_PORT"),
    ):
        await worker.run(stop)


def main() -> int:
    """``inturn consumer``: one worker until a signal; returns the exit code."""
    return run_prepared(_serve_alone)


async def _serve_alone(
    settings: Settings, redis_url: str, found: Prepared, stop: asyncio.Event
) -> None:
    await serve_consumer(settings, redis_url, found, stop)
