"""
The way to a connection to Redis: what every one of them has, and the plain way to one server.

redis-py's own retries are off and its protocol is 2: a repeated write may run twice, and on RESP3
it does not heal an idle connection that the server has closed. It is given no timeout for answers
and no health checks: whoever uses the connection has a timeout, and calls again on a new one.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CONNECT_LIMIT_S = 5.0


class Route(Protocol):
    """Makes connections, each ready for commands."""

    async def connect(self) -> AbstractConnection:
        """
        A new connection.

        Raises:
            Exception: of redis-py or ours, for ``classify``; nothing is left open.
        """
        ...

    def is_current(self) -> bool:
        """Whether the last connection leads to where a new one of this process would."""
        ...


def connection_options(timeout_s: float, client_name: str) -> dict[str, Any]:
    """
    What redis-py is told about every connection; it is given up after ``timeout_s``.

    It does not introduce itself: no ACL can allow CLIENT SETINFO both on 6.2 and on 7.0.
    """
    return {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": min(timeout_s, CONNECT_LIMIT_S),
        "client_name": client_name,
        "driver_info": None,
    }


async def hang_up(connection: AbstractConnection) -> None:
    """
    Close it, and wait for nobody.

    With TLS, asyncio would keep its socket for up to 30 s until the server has taken leave, too;
    one that is gone or silent never does.
    """
    writer: asyncio.StreamWriter | None = connection._writer  # noqa: SLF001
    if writer is not None and writer.get_extra_info("ssl_object") is not None:
        writer.transport.abort()
    await connection.disconnect(nowait=True)


async def opened(connection: AbstractConnection) -> AbstractConnection:
    """Connected, or closed again: cancelled half-way it leaves no socket behind."""
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
    except BaseException:
        await hang_up(connection)
        raise
    return connection


class DirectRoute:
    """To one server."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self._pool = ConnectionPool.from_url(url, **options)

    async def connect(self) -> AbstractConnection:
        """A new connection to it."""
        return await opened(self._pool.make_connection())  # type: ignore[no-untyped-call]

    def is_current(self) -> bool:
        """There is one server."""
        return True
