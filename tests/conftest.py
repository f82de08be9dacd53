"""What tests share: one real Redis per run, and a fresh prefix per test."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from shared.errors import StartRefused
from shared.redis_binary import ServerBinary
from tests.support.clients import look_into
from tests.support.cluster import RedisCluster
from tests.support.docker_redis import IMAGE, container_redis, why_no_docker
from tests.support.redis_server import (
    DOCKER,
    DURABLE,
    RedisServer,
    RedisUnderTest,
    is_cluster_tested,
    tested_binary,
    tested_choice,
)
from tests.support.redis_users import denied_commands, note_users, write_users
from tests.support.valkey import find_valkey

# Hypothesis times each example, and how long it takes to draw them: a busy machine is no failure.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_sessionstart() -> None:
    """Say at once, and once, that there is no Docker."""
    if tested_choice() == DOCKER and (reason := why_no_docker()):
        pytest.exit(reason, returncode=2)


def pytest_configure() -> None:
    """What tests start is to obey a hang-up, though ``nohup`` has this process ignore it."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)  # what is handled is not inherited


def pytest_report_header() -> str:
    """What is tested, at the top of every run."""
    if tested_choice() == DOCKER:
        return f"tested Redis: {IMAGE} in Docker"
    try:
        binary = tested_binary()
    except (StartRefused, ValueError) as error:
        return f"tested Redis: none ({error})"
    what = "a cluster of " if is_cluster_tested() else ""
    return f"tested Redis: {what}{binary.version_text} ({binary.path})"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    On a cluster only what uses it is run: the rest has no server or one of its own, and is run
    where one server is tested. What is about one server is skipped, with its reason.
    """
    if not is_cluster_tested():
        return
    on_it = [item for item in items if "redis_server" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(on_it)])
    for item in on_it:
        for mark in item.iter_markers("one_server"):
            item.add_marker(pytest.mark.skip(reason=mark.args[0]))
    items[:] = on_it


@pytest.fixture(scope="session")
def redis_binary() -> ServerBinary:
    """For tests that start servers of their own."""
    return tested_binary()


@pytest.fixture(scope="session")
def valkey() -> ServerBinary:
    """A server with WAITAOF, and with 7.2's WAIT: for the last *write* of a connection."""
    found = find_valkey()
    if isinstance(found, str):
        if os.environ.get("CI"):
            pytest.fail(found)
        pytest.skip(found)
    return found


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisUnderTest]:
    """
    The one server that all tests share; those that kill servers start their own.

    Services use it as the users that ``deploy/redis`` has for them, who must not lack a right.
    """
    if tested_choice() == DOCKER:
        with container_redis() as container:
            yield container
        return
    binary = tested_binary()
    users = {"aclfile": str(write_users(tmp_path_factory.mktemp("redis"), binary.version))}
    kind = RedisCluster if is_cluster_tested() else RedisServer
    with kind(binary, options=users) as server:
        note_users(server.url)
        yield server
        denied = denied_commands(server.url)
        assert not denied, f"deploy/redis/users.acl grants too little: {denied}"


@pytest.fixture(scope="session")
def redis_url(redis_server: RedisUnderTest) -> str:
    """Where the shared server listens."""
    return redis_server.url


@pytest.fixture
def own_redis(redis_binary: ServerBinary) -> Iterator[RedisServer]:
    """A server of this test's own that keeps nothing on disk."""
    with RedisServer(redis_binary) as server:
        yield server


@pytest.fixture
def durable_redis(redis_binary: ServerBinary) -> Iterator[RedisServer]:
    """A server of this test's own that has on disk what it answered."""
    with RedisServer(redis_binary, options=DURABLE) as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """A key prefix that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[Redis]:
    """A plain client of the shared server, to look at what is in it."""
    client = look_into(redis_url)
    yield client
    await client.aclose()
