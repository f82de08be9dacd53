"""F17: ingest among thousands of silent clients, slow ones, and without files to open."""

from __future__ import annotations

import random
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from tests.support.loaded import begin_sending, loaded, settled
from tests.support.redis_server import RedisServer
from tests.support.service_process import ServiceProcess
from tests.support.system import System
from tests.support.waiting import eventually

IDLE_SOCKETS = 10_000
SLOW_BODIES = 200
SPARE_FILES = 500
"""What this process needs besides the clients' sockets."""

ROUNDS = 8

WITH_FEW_FILES = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))
runpy.run_module("ingest", run_name="__main__")
"""

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def idle_sockets() -> Iterator[int]:
    """How many this process may open, at most ``IDLE_SOCKETS``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = IDLE_SOCKETS + SPARE_FILES
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    count = wanted - SPARE_FILES
    print(f"{count} idle sockets; this process may open {wanted} files")  # noqa: T201
    yield count
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_thousands_of_silent_and_slow_clients(
    own_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random, idle_sockets: int
) -> None:
    """10,000 idle sockets, 200 bodies that never end: probes and messages go on as before."""
    async with loaded(own_redis.url, prefix, tmp_path, chance) as made:
        await made.consumer()
        before = made.ingest.open_files()
        sending = begin_sending(made, ROUNDS)
        with clients_of(made.ingest) as connect:
            for number in range(idle_sockets):
                connect()
                if number % 500 == 0:
                    await is_healthy(made)
            for _ in range(SLOW_BODIES):
                connect().sendall(head_of_a_message(length=1000) + b"{")
            await eventually(
                lambda: holds_files(made.ingest, idle_sockets), "void: sockets that were accepted"
            )
            await is_healthy(made)
            await settled(made, sending)
            await is_healthy(made)

        await eventually(
            lambda: made.ingest.open_files() < before + 100, "files closed again", 20.0
        )


async def test_more_clients_than_there_are_files(
    own_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """Who is silent makes room: probes and messages go on, and Redis stays connected."""
    files = 300
    command = ("-c", WITH_FEW_FILES.format(files=files))
    async with loaded(own_redis.url, prefix, tmp_path, chance, ingest_command=command) as made:
        await made.consumer()
        sending = begin_sending(made, ROUNDS)
        with clients_of(made.ingest) as connect:
            for number in range(3 * files):
                connect()
                if number % 100 == 0:
                    await is_healthy(made)
            for _ in range(files):
                connect().sendall(head_of_a_message(length=1000) + b"{")
            await is_healthy(made)
            await settled(made, sending)
            assert made.ingest.open_files() < files
        for kind in ("idle", "slow"):
            dropped = await made.ingest.metric("connections_dropped_total", kind=kind)
            assert dropped > 0, f"void: no {kind} connection had to go"


async def test_no_file_can_be_opened(
    own_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """EMFILE while Redis is to be connected to again: 503, the reason told, well afterwards."""
    async with loaded(own_redis.url, prefix, tmp_path, chance) as made:
        await made.consumer()
        await made.send([("shop", "first")])
        sending = begin_sending(made, ROUNDS)
        soft, hard = resource.prlimit(made.ingest.pid, resource.RLIMIT_NOFILE)
        async with aiohttp.ClientSession() as probe:
            await ready(probe, made.ingest)
            resource.prlimit(made.ingest.pid, resource.RLIMIT_NOFILE, (1, hard))
            for client in await connections_of_ingest(made.redis):
                await made.redis.client_kill_filter(_id=client)
            said = ""

            async def tells_why() -> bool:
                nonlocal said
                status, said = await ready(probe, made.ingest)
                return status == 503 and "open files" in said

            await eventually(tells_why, "a probe that says why")
            async with probe.get(f"{made.ingest.url}/healthz") as answer:
                assert answer.status == 200
            with pytest.raises((aiohttp.ClientError, TimeoutError)):
                await is_healthy(made)  # a client that is new gets no answer
            resource.prlimit(made.ingest.pid, resource.RLIMIT_NOFILE, (soft, hard))
            await eventually(lambda: is_ready(probe, made.ingest), "ready again", 15.0)
            await is_healthy(made)
        await settled(made, sending)


async def test_log_cannot_be_written(
    own_redis: RedisServer, prefix: str, tmp_path: Path, chance: random.Random
) -> None:
    """A full disk under the log costs lines, no message, and no probe."""
    async with loaded(own_redis.url, prefix, tmp_path, chance, log_level="debug") as made:
        worker = await made.consumer()
        sending = begin_sending(made, ROUNDS)
        await made.send([("shop", "first")])
        services = (made.ingest, worker)
        for service in services:
            limit_file_size(service, 1)
        sizes = [service.log.stat().st_size for service in services]
        await made.send([("shop", "second")])
        await is_healthy(made)
        await sending
        assert [service.log.stat().st_size for service in services] == sizes, "void: it wrote"
        for service in services:
            limit_file_size(service, resource.RLIM_INFINITY)
        await settled(made, sending)
        await made.send([("shop", "third")])

        def write_again() -> bool:
            now = [service.log.stat().st_size for service in services]
            return all(size > before for size, before in zip(now, sizes, strict=True))

        await eventually(write_again, "lines in the logs")


def limit_file_size(service: ServiceProcess, size: int) -> None:
    """No file of this process may grow beyond."""
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def clients_of(service: ServiceProcess) -> Iterator[Any]:
    """Gives a function that connects and returns the socket; all are closed at the end."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(
            socket.create_connection(("127.0.0.1", service.port), timeout=10)
        )


def head_of_a_message(length: int) -> bytes:
    """The head of a request that carries one."""
    return (
        b"POST /api/v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % length
    )


async def is_healthy(made: System) -> None:
    """Both probes answer 200 to a client that connects anew, within two seconds."""
    timeout = aiohttp.ClientTimeout(total=2)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for path in ("healthz", "readyz"):
            async with session.get(f"{made.ingest.url}/{path}") as answer:
                assert answer.status == 200, await answer.text()


async def ready(session: aiohttp.ClientSession, service: ServiceProcess) -> tuple[int, str]:
    """What ``/readyz`` answers."""
    async with session.get(f"{service.url}/readyz") as answer:
        return answer.status, await answer.text()


async def is_ready(session: aiohttp.ClientSession, service: ServiceProcess) -> bool:
    """Whether it answers 200."""
    return (await ready(session, service))[0] == 200


async def connections_of_ingest(redis: Redis) -> list[str]:
    """The ids of its connections."""
    clients: Any = await redis.client_list()
    return [c["id"] for c in clients if c["name"] in ("inturn-append", "inturn-status")]


def holds_files(service: ServiceProcess, count: int) -> bool:
    """Whether it has that many open."""
    return service.open_files() >= count
