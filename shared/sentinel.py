"""
Redis Sentinel: the primary is asked for before every connection.

All Sentinels are asked at once and the newest configuration that a majority of them (or all that
answer in time) knows is followed: one Sentinel that was cut off from the others still names the
old primary, and redis-py's client, which asks one after the other, would believe it, or wait for
one that is gone. What was found must itself say that it is a primary, for a failover may be on
its way: a primary of yesterday would take writes only to throw them away.

One that the Sentinels cannot reach is never told that it is replaced, and goes on answering those
who are connected to it. So as soon as one connection of this process was led elsewhere, the others
are left: a worker that renews its leases on one server and reads on another one would be refused
there under each of its epochs, and take new ones without end. Servers are told apart by their own
word (``run_id``), for Sentinels may call one by several names.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

from redis.asyncio.connection import AbstractConnection, ConnectionPool

from shared.broker_errors import classify
from shared.errors import NotConnected
from shared.redis_url import parse_sentinel_url
from shared.route import hang_up, opened
from shared.server_info import ServerInfo

ASK_PARTS = 3
"""The Sentinels may take that part of the time for a connection; the rest is the primary's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryView:
    """What one Sentinel says of the primary. ``config_epoch`` grows with every failover."""

    host: str
    port: int
    config_epoch: int
    is_down: bool

    @classmethod
    def parse(cls, flat: list[bytes]) -> PrimaryView:
        """Of the answer to SENTINEL MASTER."""
        texts = [value.decode(errors="replace") for value in flat]
        fields = dict(zip(texts[::2], texts[1::2], strict=False))
        flags = fields.get("flags", "").split(",")
        return cls(
            host=fields["ip"],
            port=int(fields["port"]),
            config_epoch=int(fields.get("config-epoch", 0)),
            is_down="o_down" in flags or "s_down" in flags or "master" not in flags,
        )


def choose_primary(views: list[PrimaryView]) -> PrimaryView | None:
    """The newest configuration; of equal ones, one whose Sentinel sees it alive. None of none."""
    best = max(views, key=lambda view: (view.config_epoch, not view.is_down), default=None)
    return None if best is None or best.is_down else best


class SentinelRoute:
    """To the primary of a name, wherever it is now."""

    _newest: ClassVar[dict[str, str]] = {}
    """By URL: the server that the last connection of this process leads to, whoever made it."""

    def __init__(self, url: str, *, timeout_s: float, options: dict[str, Any]) -> None:
        """
        ``options`` are redis-py's for each connection.

        Raises:
            ValueError: the URL has another form.
        """
        found = parse_sentinel_url(url)
        self._url = url
        self._led_to: str | None = None
        self._name = found.name
        self._places = found.places
        self._ask_s = timeout_s / ASK_PARTS
        self._servers = ConnectionPool.from_url(found.server_url, **options)
        self._sentinels = ConnectionPool.from_url(found.sentinel_url, **options)

    async def connect(self) -> AbstractConnection:
        """
        A new connection to the primary of now.

        Raises:
            NotConnected: no Sentinel answers, none knows the name, the primary is down, or what
                they name is none (yet), or another connection was led elsewhere meanwhile.
        """
        before = self._newest.get(self._url)
        views, silence = await self._views()
        primary = choose_primary(views)
        if primary is None:
            why = "it is down" if views else silence
            raise NotConnected(f"the Sentinels name no primary {self._name}: {why}")
        connection = await opened(_at(self._servers, primary.host, primary.port))
        try:
            server = await self._primary_at(connection, primary)
            if self._newest.get(self._url) not in (before, server):
                raise NotConnected(f"the primary of {self._name} has just changed")
        except BaseException:
            await hang_up(connection)
            raise
        self._led_to = self._newest[self._url] = server
        return connection

    async def _primary_at(self, connection: AbstractConnection, view: PrimaryView) -> str:
        """The server's own name, if it says that it is a primary."""
        await connection.send_command("ROLE")
        role = await connection.read_response()
        if role[0] != b"master":
            raise NotConnected(f"what the Sentinels call {self._name} is a replica")
        await connection.send_command("INFO", "server")
        info = ServerInfo.parse(await connection.read_response())
        return info.text("run_id") or f"{view.host}:{view.port}"

    def is_current(self) -> bool:
        """Whether no other connection of this process was led elsewhere since."""
        return self._led_to == self._newest.get(self._url)

    async def _views(self) -> tuple[list[PrimaryView], str]:
        """What a majority says, or all that answer in time; and why another one does not."""
        asked = [asyncio.create_task(self._ask(*place)) for place in self._places]
        views: list[PrimaryView] = []
        silence = ""
        try:
            for answer in asyncio.as_completed(asked):
                view = await answer
                if isinstance(view, str):
                    silence = view
                else:
                    views.append(view)
                if len(views) > len(asked) / 2:
                    break
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return views, silence

    async def _ask(self, host: str, port: int) -> PrimaryView | str:
        try:
            async with asyncio.timeout(self._ask_s):
                connection = await opened(_at(self._sentinels, host, port))
                try:
                    await connection.send_command("SENTINEL", "MASTER", self._name)
                    return PrimaryView.parse(await connection.read_response())
                finally:
                    await hang_up(connection)
        except Exception as error:  # noqa: BLE001 - one Sentinel may be gone; the others are asked
            return f"{host}:{port}: {classify(error)}"


def _at(pool: ConnectionPool, host: str, port: int) -> AbstractConnection:
    options = {**pool.connection_kwargs, "host": host, "port": port}
    connection: AbstractConnection = pool.connection_class(**options)
    return connection
