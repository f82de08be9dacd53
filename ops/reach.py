"""
How a command reaches Redis and the data.

Commands that only look create nothing: the number of partitions is the one that is written down
in ``<prefix>:meta``, whatever the shell's settings say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

import click

from ops.signals import told_of_ctrl_c
from shared.broker_errors import NO_CLUSTER, NOT_LET_IN
from shared.connect import Pipe, open_pipe
from shared.errors import BrokerRefused, BrokerUnavailable, StartRefused
from shared.home import find_redis_url
from shared.keys import Keys
from shared.preflight import meta_problems, read_meta
from shared.redis_url import place_of
from shared.settings import load_settings

TIMEOUT_MS = 5000

_DOCTOR = "`inturn doctor` tells whether it is INTURN_REDIS_URL or the server"

T = TypeVar("T")


def reach_redis(url: str) -> AbstractAsyncContextManager[Pipe]:
    """A command's connection, for as long as the block."""
    return open_pipe(url, timeout_ms=TIMEOUT_MS, name="ops")


@contextmanager
def told_where(url: str) -> Iterator[None]:
    """
    Whoever reads why Redis does nothing learns also which Redis that is, and what to do.

    Raises:
        click.ClickException: Redis does not answer, or it refused.
    """
    try:
        yield
    except (BrokerUnavailable, BrokerRefused) as error:
        why = str(error).rstrip(".")
        raise click.ClickException(f"{why} (Redis at {place_of(url)}): {_advice(error)}") from error


def _advice(error: BrokerUnavailable | BrokerRefused) -> str:
    if isinstance(error, BrokerRefused) and error.code in NOT_LET_IN | {NO_CLUSTER}:
        return "check address, user and password in INTURN_REDIS_URL"
    return f"{_DOCTOR}; the command may be repeated"


async def find_keys(pipe: Pipe, prefix: str) -> Keys:
    """
    The keys of the data that are there.

    Raises:
        StartRefused: there are none under the prefix, or they have another layout.
    """
    meta = await read_meta(pipe, Keys(prefix, 1))
    if meta.partitions is None:
        problem = f"no inturn service has used this Redis under the prefix {prefix} yet"
        raise StartRefused([f"{problem}: are INTURN_PREFIX and INTURN_REDIS_URL right?"])
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
        click.ClickException: Redis does not answer, or it refused.
    """
    settings = load_settings()
    url = find_redis_url(settings)

    async def run() -> T:
        async with reach_redis(url) as pipe:
            return await action(pipe, await find_keys(pipe, settings.prefix))

    with told_where(url), told_of_ctrl_c():
        return asyncio.run(run())
