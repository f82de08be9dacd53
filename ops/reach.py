"""
How a command finds Redis and the data: the settings, else the ``inturn up`` of this folder.

Commands that only look create nothing: the number of partitions is the one that is written down
in ``<prefix>:meta``, whatever the shell's settings say.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from shared.connect import Pipe
from shared.errors import StartRefused
from shared.keys import Keys
from shared.preflight import meta_problems, read_meta
from shared.running import find_running, home_folder
from shared.settings import Settings, load_settings

TIMEOUT_MS = 5000

URL_NAME = "INTURN_REDIS_URL"

T = TypeVar("T")


def find_redis_url(settings: Settings) -> str:
    """
    The Redis that is set, else the one that an ``inturn up`` of this folder embeds.

    Raises:
        StartRefused: there is neither; the message says what to set.
    """
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    folder = home_folder()
    running = find_running(folder)
    if running is None:
        problem = f"{URL_NAME} is not set, and no inturn up runs in this folder ({folder})"
        raise StartRefused([f"{problem}: set it to redis://host:port/0, or change the folder"])
    if running.redis_url is None:
        problem = f"{URL_NAME} is not set here, and the inturn up of this folder embeds no Redis"
        raise StartRefused([f"{problem}: set it to what that one was given"])
    return running.redis_url


def export_redis_url() -> None:
    """
    Let a service that is started here find what ``find_redis_url`` finds.

    Raises:
        StartRefused: wrong settings, or there is no Redis.
    """
    os.environ[URL_NAME] = find_redis_url(load_settings())


def place_of(url: str) -> str:
    """Where a URL leads, for people: without user, password and options."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return unquote(parts.path)
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"


@asynccontextmanager
async def open_pipe(url: str) -> AsyncIterator[Pipe]:
    """A connection that lives as long as the block."""
    pipe = Pipe(url, timeout_ms=TIMEOUT_MS, name="ops")
    task = asyncio.create_task(pipe.run(), name="pipe-ops")
    try:
        yield pipe
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def find_keys(pipe: Pipe, prefix: str) -> Keys:
    """
    The keys of the data that are there.

    Raises:
        StartRefused: there are none under the prefix, or they have another layout.
    """
    meta = await read_meta(pipe, Keys(prefix, 1))
    if meta.partitions is None:
        problem = f"no inturn service has used this Redis under the prefix {prefix} yet"
        raise StartRefused([f"{problem}: is INTURN_PREFIX right?"])
    partitions = int(meta.partitions) if meta.partitions.isdecimal() else 0
    keys = Keys(prefix, partitions)
    if problems := meta_problems(meta, keys):
        raise StartRefused(problems)
    return keys


def with_store(action: Callable[[Pipe, Keys], Awaitable[T]]) -> T:
    """
    Run ``action`` on the data, in an event loop of its own.

    Raises:
        StartRefused: wrong settings, no Redis to be found, or no data.
        BrokerUnavailable: Redis does not answer.
        BrokerRefused: Redis refused.
    """
    settings = load_settings()
    url = find_redis_url(settings)

    async def run() -> T:
        async with open_pipe(url) as pipe:
            return await action(pipe, await find_keys(pipe, settings.prefix))

    return asyncio.run(run())
