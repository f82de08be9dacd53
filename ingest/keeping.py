"""Who keeps messages, by the policy ``ON_OUTAGE``: put together from the settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial

import aiohttp
import structlog
from structlog.typing import FilteringBoundLogger

from ingest.accepted import Appender
from ingest.append import DEADLINE_S, TIMEOUT_MS, RedisAppender
from ingest.away import servers_of
from ingest.by_partition import ByPartition
from ingest.bypass import Bypass
from ingest.forgets import Forgets
from ingest.outage import SpoolingAppender
from ingest.pauses import Pauses
from ingest.remember import RedisMemory
from ingest.spool.files import survey_folder
from ingest.spool.folder import folders_of
from ingest.spool.replayer import Replayer
from ingest.spool.spool import Spool, now_ms
from shared.connect import Pipe, open_pipe, pipe_to
from shared.durability import Durability
from shared.errors import BrokerRefused
from shared.health import HealthCheck, Instead
from shared.keys import Keys
from shared.metrics import IngestMetrics
from shared.preflight import Prepared
from shared.service import in_background, prepare_once
from shared.settings import Settings
from shared.steering_store import SteeringStore

SPOOLED_APPEND_DEADLINE_S = 0.3
"""Where there is a spool, a message is kept there rather than asked for again and again."""

REPLAY_TIMEOUT_MS = 5000
"""Nobody waits for the answer to a replay: a slow Redis gets its time."""

Keeping = tuple[Appender, HealthCheck, Instead]
"""Who keeps messages; what is wrong with Redis; what keeps them instead."""

log: FilteringBoundLogger = structlog.get_logger()


def keeping(
    settings: Settings,
    redis_url: str,
    keys: Keys,
    metrics: IngestMetrics,
    check: HealthCheck,
    found: asyncio.Future[Prepared],
    forgets: Forgets,
) -> AbstractAsyncContextManager[Keeping]:
    """Who keeps messages as long as the block; ``check`` and ``found`` are of the spool's."""
    if settings.on_outage == "reject":
        return keeping_in_redis(settings, redis_url, keys, metrics)
    return keeping_in_spool(settings, redis_url, keys, metrics, check, found, forgets)


@asynccontextmanager
async def keeping_in_redis(
    settings: Settings, redis_url: str, keys: Keys, metrics: IngestMetrics
) -> AsyncIterator[Keeping]:
    """The policy ``reject``: ready is who can write as durably as is set."""
    writes = _writes_to(redis_url, settings, metrics)
    appender = RedisAppender(writes, keys, settings.dedupe_ms, metrics, limit_s=DEADLINE_S)

    async def health() -> str | None:
        return await what_is_wrong(writes, keys)

    _warn_of_left(settings)
    async with in_background(append=writes.run()):
        yield appender, health, lambda: None


def _warn_of_left(settings: Settings) -> None:
    """Without a spool nobody replays what one with a spool has left behind."""
    folders = folders_of(settings.spool_dir, settings.prefix)
    left = sum(sealed.messages for folder in folders for sealed in survey_folder(folder))
    if left:
        log.warning("spool.left", messages=left, hint="run inturn spool replay")


@asynccontextmanager
async def keeping_in_spool(
    settings: Settings,
    redis_url: str,
    keys: Keys,
    metrics: IngestMetrics,
    check: HealthCheck,
    found: asyncio.Future[Prepared],
    forgets: Forgets,
) -> AsyncIterator[Keeping]:
    """
    The policies ``spool`` and ``direct``; ``found`` is told what was prepared, once Redis is there.

    Messages go to the spool until the data were found to be made for this many partitions: in
    the wrong partition nobody would look for them.

    Raises:
        StartRefused: the spool's folder cannot be written, or Redis is not fit.
    """
    writes, replays = _writes_to(redis_url, settings, metrics), _replays_to(redis_url, settings)
    redis = RedisAppender(writes, keys, settings.dedupe_ms, metrics, SPOOLED_APPEND_DEADLINE_S)
    patient = RedisAppender(replays, keys, settings.dedupe_ms, metrics, deadline_s=0)
    memory = RedisMemory(replays, keys, settings.dedupe_ms, settings.retention_ms)
    probe = partial(_probe, redis_url, settings, replays, keys, found)
    async with AsyncExitStack() as stack:
        spool = Spool(
            settings.spool_dir, settings.prefix, settings.spool_max_bytes, metrics, now_ms
        )
        stack.callback(spool.close)
        pauses = Pauses(SteeringStore(replays, keys), settings, settings.spool_dir)
        bypass = await _bypass_for(settings, spool, metrics, pauses, stack)
        settle = None if bypass is None else bypass.settle
        replayer = Replayer(spool, patient, memory, metrics, settle, forgets)
        servers = servers_of(writes, keys)
        appender = SpoolingAppender(redis, spool, replayer, probe, bypass, servers)
        await stack.enter_async_context(in_background(append=writes.run(), replay=replays.run()))
        await appender.start()
        if bypass is not None:
            await stack.enter_async_context(in_background(pauses=pauses.keep_reading()))
        await stack.enter_async_context(
            in_background(drain=appender.keep_draining(), room=spool.room.keep_measuring())
        )
        parted = ByPartition(appender, servers) if writes.is_cluster else appender
        yield parted, partial(_health, appender, spool, check), lambda: appender.keeps


def _writes_to(redis_url: str, settings: Settings, metrics: IngestMetrics) -> Pipe:
    """Where messages are appended, as durably as is set."""
    durability = Durability.parse(settings.durability)
    writes = pipe_to(redis_url, timeout_ms=TIMEOUT_MS, name="append", durability=durability)
    writes.on_batch = metrics.append_batch_messages.observe
    return writes


def _replays_to(redis_url: str, settings: Settings) -> Pipe:
    """Where what is in the spool is appended."""
    durability = Durability.parse(settings.durability)
    return pipe_to(redis_url, timeout_ms=REPLAY_TIMEOUT_MS, name="replay", durability=durability)


async def _probe(
    redis_url: str,
    settings: Settings,
    replays: Pipe,
    keys: Keys,
    found: asyncio.Future[Prepared],
) -> None:
    """Does Redis take writes? Before ``found`` is told: is it fit, and are the data ours?"""
    if not found.done():
        # not on the durable one: it would not say that this Redis can never be
        async with open_pipe(redis_url, timeout_ms=REPLAY_TIMEOUT_MS, name="start") as pipe:
            found.set_result(await prepare_once(pipe, settings))
    await _touch(replays, keys)


async def _health(appender: SpoolingAppender, spool: Spool, check: HealthCheck) -> str | None:
    why = appender.reason or await check()
    return f"{why.rstrip('.')}; {spool.problem}" if why and spool.problem else why


async def _bypass_for(
    settings: Settings,
    spool: Spool,
    metrics: IngestMetrics,
    pauses: Pauses,
    stack: AsyncExitStack,
) -> Bypass | None:
    if settings.on_outage != "direct":
        return None
    session = await stack.enter_async_context(aiohttp.ClientSession())
    bypass = Bypass(settings, spool, metrics, session, now_ms, pauses.holds)
    stack.push_async_callback(bypass.close)
    return bypass


async def what_is_wrong(pipe: Pipe, keys: Keys) -> str | None:
    """Does Redis take writes?"""
    try:
        await _touch(pipe, keys)
    except BrokerRefused as error:
        return f"Redis refuses writes: {error.code}"
    return None


async def _touch(pipe: Pipe, keys: Keys) -> None:
    """A write that Redis refuses when it is full, a replica, or has a broken disk."""
    await pipe.call("HSET", keys.meta, "checked", "1")
