"""What fault tests share: chance with a seed, and a Redis of their own."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from ops.chaos.private_redis import PrivateRedis
from shared.redis_binary import ServerBinary
from tests.support.fault_bench import seeded
from tests.support.redis_server import RedisServer


@pytest.fixture
def chance() -> random.Random:
    """Of this run; ``TEST_SEED`` repeats one."""
    return seeded()


@pytest.fixture
def private_redis(redis_binary: ServerBinary) -> Iterator[PrivateRedis]:
    """A server of this test's own that has on disk what it answered, and its whole history."""
    with PrivateRedis(redis_binary) as server:
        yield server


@pytest.fixture
def own_redis(redis_binary: ServerBinary) -> Iterator[RedisServer]:
    """A server of this test's own that keeps nothing on disk."""
    with RedisServer(redis_binary) as server:
        yield server


@pytest.fixture
def durable_redis(redis_binary: ServerBinary) -> Iterator[RedisServer]:
    """A server of this test's own that has on disk what it answered."""
    options = {"appendonly": "yes", "appendfsync": "always"}
    with RedisServer(redis_binary, options=options) as server:
        yield server


@pytest.fixture
def lazy_redis(redis_binary: ServerBinary) -> Iterator[RedisServer]:
    """A server of this test's own that syncs its file once a second."""
    options = {"appendonly": "yes", "appendfsync": "everysec"}
    with RedisServer(redis_binary, options=options) as server:
        yield server
