"""What integration tests share; a file with other partitions has a ``keys`` of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis import Redis

from shared.connect import Pipe
from shared.dead_letters import DeadLetters
from shared.keys import ClinicKeys, Keys
from shared.providers import Provider
from shared.providers.evolution import Evolution
from shared.redis_binary import ServerBinary
from shared.settings import Settings
from shared.tickets import Tickets
from shared.trace import Trace
from tests.support.clients import look_now
from tests.support.handler_server import HandlerServer
from tests.support.journey import Journey, begin_journey
from tests.support.partition_scripts import Scripts, partition_scripts
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer
from tests.support.shell import enter_shell
from tests.support.spooling import Spooling, spooling
from tests.support.ticketing import CLINIC


@pytest.fixture
async def scripts(redis_url: str, prefix: str) -> AsyncIterator[Scripts]:
    """One partition's scripts on the shared server, under a prefix of the test's own."""
    async with partition_scripts(redis_url, Keys(prefix, 1).partition(0)) as found:
        yield found


@pytest.fixture
async def pipe(redis_url: str) -> AsyncIterator[Pipe]:
    """A connection to the shared server."""
    async with running_pipe(redis_url) as running:
        yield running


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    """A plain client of the shared server for tests without a loop, to look and to write."""
    with look_now(redis_url) as connected:
        yield connected


@pytest.fixture
def keys(prefix: str) -> Keys:
    """One partition, so that all users share its keys."""
    return Keys(prefix, 1)


@pytest.fixture
async def journey(pipe: Pipe, keys: Keys) -> Journey:
    """A user whose partition is owned by a worker."""
    return await begin_journey(pipe, keys)


@pytest.fixture
def trace(pipe: Pipe, keys: Keys) -> Trace:
    """Without settings: nobody knows of channels."""
    return Trace(pipe, keys)


@pytest.fixture
def no_typing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test counts the calls of a provider: only what is sent is among them."""
    monkeypatch.setattr(Evolution, "show_typing", Provider.show_typing)


@pytest.fixture
async def handler() -> AsyncIterator[HandlerServer]:
    """Answers every window with silence, unless the test says otherwise."""
    async with HandlerServer() as running:
        yield running


@pytest.fixture
def direct_settings(handler: HandlerServer) -> Settings:
    """Without a channel: replies are kept to be read."""
    return Settings(handler=handler.url, handler_timeout_ms=5000)


@pytest.fixture
async def direct(
    durable_redis: RedisServer, keys: Keys, tmp_path: Path, direct_settings: Settings
) -> AsyncIterator[Spooling]:
    """One process's policy ``direct``."""
    async with spooling(durable_redis.url, keys, tmp_path, direct=direct_settings) as running:
        yield running


@pytest.fixture
def shell(
    redis_url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """An operator's, in an empty folder, whose settings lead to the shared server."""
    enter_shell(monkeypatch, tmp_path, redis_url, prefix)
    return monkeypatch


@pytest.fixture
def letters(pipe: Pipe, keys: Keys) -> DeadLetters:
    """What is kept of dead letters."""
    return DeadLetters(pipe, keys)


@pytest.fixture
def tickets(pipe: Pipe, prefix: str) -> Tickets:
    """Open to all clinics, without a limit."""
    return Tickets(pipe, prefix)


@pytest.fixture
def of(prefix: str) -> ClinicKeys:
    """The keys of the clinic that tests of tickets go to."""
    return ClinicKeys.of(prefix, CLINIC)


@pytest.fixture(scope="module")
def full_server(redis_binary: ServerBinary) -> Iterator[RedisServer]:
    """A server of the test module's own, that never evicts: some fill its memory."""
    with RedisServer(redis_binary, options={"maxmemory-policy": "noeviction"}) as server:
        yield server
