"""
Each error that a server as a whole answers with: named, an outage, and healed without a restart.

Beside the table of ``shared/broker_errors``. OOM has ``test_scripts_full``, NOGROUP
``test_worker_groups``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from ingest.append import RedisAppender
from shared.broker_errors import MAX_CLIENTS, is_outage
from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable, NotConnected
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import Message
from shared.redis_binary import ServerBinary
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer, free_port
from tests.support.waiting import eventually

MESSAGE = Message(instance="shop", user="ann", message_id="M1", received_at=1)
SMALL_MEMORY = 1024 * 1024


class Ingest:
    """What ingest has: an appender on a pipe."""

    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self.pipe = pipe
        self._appender = RedisAppender(pipe, keys, 60_000, IngestMetrics(InstanceLabels(10)))

    async def refusal(self) -> str:
        """The code that an append is refused with; it is an outage."""
        with pytest.raises(BrokerRefused) as caught:
            await self._appender.append([MESSAGE])
        assert is_outage(caught.value)
        return caught.value.code

    async def hears_why(self) -> bool:
        """
        Whether an append is refused with the server's reason for taking no connection.

        Never otherwise than refused. The server says why and closes, unasked: where our first bytes
        come later, the reset that they meet may take its words away.
        """
        with pytest.raises((BrokerRefused, NotConnected)) as caught:
            await self._appender.append([MESSAGE])
        assert is_outage(caught.value)
        return getattr(caught.value, "code", None) == MAX_CLIENTS

    async def accepts(self) -> bool:
        """Whether an append goes through now."""
        try:
            return bool(await self._appender.append([MESSAGE]))
        except (BrokerRefused, BrokerUnavailable):
            return False


@asynccontextmanager
async def ingest_of(server: RedisServer, keys: Keys) -> AsyncIterator[tuple[Ingest, Redis]]:
    """Ingest with a connection that has worked, and another client to provoke the error with."""
    admin = Redis.from_url(server.url, protocol=2)
    try:
        async with running_pipe(server.url, timeout_ms=2000) as pipe:
            ingest = Ingest(pipe, keys)
            assert await ingest.accepts()
            yield ingest, admin
    finally:
        await admin.aclose()


async def test_readonly(redis_binary: ServerBinary, keys: Keys) -> None:
    """A demoted primary is left: the connection is made anew, and takes what it finds then."""
    with RedisServer(redis_binary, on_port=True) as server:
        async with ingest_of(server, keys) as (ingest, admin):
            before = await ingest.pipe.call("CLIENT", "ID")
            await admin.replicaof("127.0.0.1", free_port())
            assert await ingest.refusal() == "READONLY"
            await admin.replicaof("NO", "ONE")
            await eventually(ingest.accepts, "an append after the promotion")
            assert await ingest.pipe.call("CLIENT", "ID") != before


async def test_masterdown(redis_binary: ServerBinary, keys: Keys) -> None:
    """A replica without its primary refuses to be read; it is left likewise."""
    options = {"replica-serve-stale-data": "no"}
    with RedisServer(redis_binary, on_port=True, options=options) as server:
        async with ingest_of(server, keys) as (ingest, admin):
            before = await ingest.pipe.call("CLIENT", "ID")
            await admin.replicaof("127.0.0.1", free_port())
            with pytest.raises(BrokerRefused) as caught:
                await ingest.pipe.call("HGETALL", keys.meta)
            assert caught.value.code == "MASTERDOWN"
            assert is_outage(caught.value)
            await admin.replicaof("NO", "ONE")
            await eventually(ingest.accepts, "an append after the promotion")
            assert await ingest.pipe.call("CLIENT", "ID") != before


async def test_loading(redis_binary: ServerBinary, keys: Keys) -> None:
    """A server that reads its data says so also to a new connection; then it is used."""
    # it looks up from loading after every 2 MB
    options = {"key-load-delay": "150000", "appendonly": "no"}
    with RedisServer(redis_binary, options=options) as server:
        async with ingest_of(server, keys) as (ingest, admin):
            for number in range(20):
                await admin.set(f"large:{number}", b"x" * SMALL_MEMORY)
            await admin.config_set("rdbcompression", "no")
            await admin.save()
            server.kill()
            server.start(wait=False)
            met: list[BrokerRefused] = []

            async def is_loading() -> bool:
                try:
                    await ingest.pipe.call("PING")
                except BrokerRefused as error:
                    met.append(error)
                except BrokerUnavailable:
                    return False
                return bool(met)

            await eventually(is_loading, "a server that loads")
            assert {(error.code, is_outage(error)) for error in met} == {("LOADING", True)}
            await eventually(ingest.accepts, "an append after the loading", 20.0)


async def test_misconf(redis_binary: ServerBinary, keys: Keys) -> None:
    """A server whose snapshots fail takes no writes, and takes them again after the next one."""
    options = {"save": "3600 1", "stop-writes-on-bgsave-error": "yes"}
    with RedisServer(redis_binary, options=options) as server:
        async with ingest_of(server, keys) as (ingest, admin):
            in_the_way = server.folder / "dump.rdb"
            in_the_way.mkdir()
            await admin.bgsave()

            async def status_is(status: str) -> bool:
                found = await admin.info("persistence")
                return bool(
                    found["rdb_last_bgsave_status"] == status
                    and not found["rdb_bgsave_in_progress"]
                )

            await eventually(lambda: status_is("err"), "a failed snapshot")
            assert await ingest.refusal() == "MISCONF"
            in_the_way.rmdir()
            await admin.bgsave()
            await eventually(lambda: status_is("ok"), "a snapshot")
            assert await ingest.accepts()


async def test_noscript(redis_binary: ServerBinary, keys: Keys) -> None:
    """A script that Redis has forgotten is sent again, and nobody notices."""
    with RedisServer(redis_binary) as server:
        async with ingest_of(server, keys) as (ingest, admin):
            await admin.script_flush()
            assert await ingest.accepts()


async def test_busy(redis_binary: ServerBinary, keys: Keys) -> None:
    """While somebody's script runs and runs, the answer is BUSY; when it is killed, all is well."""
    with RedisServer(redis_binary, options={"lua-time-limit": "50"}) as server:
        async with ingest_of(server, keys) as (ingest, admin):
            endless = asyncio.ensure_future(admin.eval("while true do end", 0))
            met: list[BrokerRefused] = []

            async def is_busy() -> bool:
                try:
                    await ingest.pipe.call("PING")
                except BrokerRefused as error:
                    met.append(error)
                return bool(met)

            await eventually(is_busy, "a busy server")
            assert {(error.code, is_outage(error)) for error in met} == {("BUSY", True)}
            await ingest.pipe.call("SCRIPT", "KILL")
            with contextlib.suppress(Exception):
                await endless
            await eventually(ingest.accepts, "an append after the script")


async def test_max_clients(redis_binary: ServerBinary, keys: Keys) -> None:
    """A server that takes no connection more says why; one is made as soon as there is room."""
    with RedisServer(redis_binary) as server:
        async with ingest_of(server, keys) as (_, admin):
            await admin.config_set("maxclients", 2)
            async with running_pipe(server.url) as pipe:
                another = Ingest(pipe, keys)
                await eventually(another.hears_why, "the server's reason")
                await admin.config_set("maxclients", 100)
                await eventually(another.accepts, "an append on a new connection")


class ClosingServer:
    """Takes every connection and closes it before it has answered anything; counts them."""

    def __init__(self) -> None:
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        writer.close()


async def test_many_callers_do_not_storm_a_server(keys: Keys) -> None:
    """However many call again and again, few connections are tried; every call fails at once."""
    closing = ClosingServer()
    server = await asyncio.start_server(closing.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with running_pipe(f"redis://127.0.0.1:{port}/0") as pipe:
            failures: list[BaseException] = []
            for _ in range(100):
                calls = (pipe.call("PING") for _ in range(20))
                failures += [e for e in await asyncio.gather(*calls, return_exceptions=True) if e]
                await asyncio.sleep(0.005)
    assert len(failures) == 2000
    assert {type(failure) for failure in failures} == {NotConnected}
    assert 2 <= closing.connections <= 20
