"""
How a command reaches Redis and the data.

Commands that only look create nothing: the number of partitions is the one that is written down
in ``<prefix>:meta``, whatever the shell's settings say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from shared.connect import Pipe, open_pipe
from shared.errors import StartRefused
from shared.home import find_redis_url
from shared.keys import Keys
from shared.preflight import meta_problems, read_meta
from shared.settings import load_settings

TIMEOUT_MS = 5000

T = TypeVar("T")


def reach_redis(url: str) -> AbstractAsyncContextManager[Pipe]:
    """A command's connection, for as long as the block."""
    return open_pipe(url, timeout_ms=TIMEOUT_MS, name="ops")


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
        async with reach_redis(url) as pipe:
            return await action(pipe, await find_keys(pipe, settings.prefix))

    return asyncio.run(run())
