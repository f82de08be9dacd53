"""What fault tests share: chance with a seed, and a Redis of their own."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.chaos.private_redis import PrivateRedis
from shared.redis_binary import ServerBinary
from tests.support.fault_bench import seeded
from tests.support.redis_server import RedisServer
from tests.support.shared_spool import sharing_a_spool

LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:")
"""What services that run inside a test's own process say."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the runs measured, and their seeds, also of those that passed."""
    terminalreporter.section("figures and seeds")
    for report in terminalreporter.getreports("passed"):
        lines = [line for line in report.capstdout.splitlines() if not LOG_LINE.match(line)]
        if lines:
            terminalreporter.write_line(report.nodeid.rpartition("/")[2])
            terminalreporter.write_line("\n".join(f"    {line}" for line in lines))


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
def lazy_redis(redis_binary: ServerBinary) -> Iterator[RedisServer]:
    """A server of this test's own that syncs its file once a second."""
    options = {"appendonly": "yes", "appendfsync": "everysec"}
    with RedisServer(redis_binary, options=options) as server:
        yield server


@pytest.fixture
def spool_settings(durable_redis: RedisServer, prefix: str, tmp_path: Path) -> dict[str, Any]:
    """Of ingest services that share a spool."""
    return sharing_a_spool(durable_redis.url, prefix, tmp_path)
