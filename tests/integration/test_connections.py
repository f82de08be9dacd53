"""Every connection has the settings that RELIABILITY.md's facts ask for."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from consumer.bells import BellReader
from consumer.worker import Worker
from ingest.append import DEADLINE_S, TIMEOUT_MS, RedisAppender
from shared.connect import BLOCK_MS, BLOCK_SLACK_MS, pipe_to
from shared.durability import WAIT_MAX_MS, Durability, find_promise
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.keys import Keys
from shared.metrics import ConsumerMetrics, IngestMetrics, InstanceLabels
from shared.model import Message
from shared.route import connection_options
from shared.settings import Settings
from tests.support.deployment import deployment
from tests.support.machine import watched_machine
from tests.support.pipes import running_pipe
from tests.support.tcp_proxy import TcpProxy

ANSWER_WITHIN_S = 2.0
"""What a provider is promised, whatever Redis does."""

FSYNC = Durability.parse("fsync")


def worker_of(redis_url: str, **changes: Any) -> Worker:
    """One that does not run."""
    settings = Settings(**changes)
    keys = Keys(settings.prefix, settings.partitions)
    return Worker(settings, redis_url, keys, ConsumerMetrics())


def test_no_client_retries_and_protocol_2() -> None:
    """A repeated write may run twice; on RESP3 redis-py does not heal what the server closed."""
    options = connection_options(1.0, "x")

    assert options["protocol"] == 2
    assert options["retry"]._retries == 0
    assert options["socket_connect_timeout"] == 1.0


def test_a_blocking_read_ends_before_its_connection_gives_up(redis_url: str) -> None:
    """BLOCK is 2 s at most, and its connection waits 3 s longer: else it would never return."""
    assert BLOCK_MS <= 2000
    assert BLOCK_SLACK_MS >= 3000
    assert worker_of(redis_url)._bell_pipe.timeout_ms >= BLOCK_MS + BLOCK_SLACK_MS
    with pytest.raises(ValueError, match="hasty"):
        BellReader(pipe_to(redis_url, timeout_ms=BLOCK_MS + BLOCK_SLACK_MS - 1, name="hasty"))


def test_heartbeats_wait_a_quarter_of_the_lease(redis_url: str) -> None:
    """On a connection of their own: no slow command makes a renewal late."""
    worker = worker_of(redis_url, lease_ms=8000)

    assert worker._keeper_pipe.timeout_ms == 2000
    assert len({worker._keeper_pipe, worker._bell_pipe, worker._pipe}) == 3


async def test_reads_writes_and_blocking_reads_are_apart(redis_url: str, prefix: str) -> None:
    """A running worker's connections, by the names that an operator sees, speak RESP2."""
    async with deployment(redis_url, prefix) as made, made.worker() as worker:
        await worker.owns(4)
        rows = [row for row in await made.redis.client_list() if row["name"].startswith("inturn-")]
    assert {"inturn-work", "inturn-lease", "inturn-bell"} <= {row["name"] for row in rows}
    assert {row.get("resp", "2") for row in rows} == {"2"}


@pytest.mark.parametrize("level", ["fsync", "replicas:2"])
async def test_waits_end_well_within_the_connections_own_time(level: str) -> None:
    """Too few replicas are told as such, and not as a Redis that does not answer."""

    async def ask(*command: Any) -> Any:
        answers = {"INFO": b"aof_enabled:1\r\n", "CONFIG": [b"appendfsync", b"everysec"]}
        return answers.get(str(command[0]), [0, 0])

    for timeout_ms in (TIMEOUT_MS, 5000):
        promise = await find_promise(Durability.parse(level), ask, timeout_ms)
        assert promise is not None
        assert promise.command[-1] <= min(WAIT_MAX_MS, timeout_ms / 2)


async def test_without_waitaof_nothing_is_asked_per_batch() -> None:
    """Where every answer leaves after its sync, the answer is enough."""

    async def ask(*command: Any) -> Any:
        if command[0] == "WAITAOF":
            return BrokerRefused("ERR", "unknown command")
        answers = {"INFO": b"aof_enabled:1\r\n", "CONFIG": [b"appendfsync", b"always"]}
        return answers[str(command[0])]

    assert await find_promise(FSYNC, ask, TIMEOUT_MS) is None


@pytest.mark.one_server("a proxy before one server is no way to a cluster")
async def test_ingest_answers_within_two_seconds_when_redis_is_half_open(
    redis_url: str, keys: Keys
) -> None:
    """Who calls first and who queues behind: nobody waits for one timeout after the other."""
    took: list[float] = []
    async with TcpProxy(redis_url) as proxy, running_pipe(proxy.url, timeout_ms=TIMEOUT_MS) as pipe:
        metrics = IngestMetrics(InstanceLabels(10))
        appender = RedisAppender(pipe, keys, 60_000, metrics, limit_s=DEADLINE_S)

        async def append(number: int) -> None:
            await asyncio.sleep(number / 20)
            began_s = time.perf_counter()
            message = Message(instance="shop", user="ann", message_id=f"M{number}", received_at=1)
            try:
                await appender.append([message])
            except BrokerUnavailable:
                took.append(time.perf_counter() - began_s)

        await append(0)
        assert not took
        with watched_machine() as machine:
            proxy.hold()
            await asyncio.gather(*(append(number) for number in range(1, 30)))
    assert len(took) == 29
    # each waits for the CPU to be sent, to be given up, and to be told so
    assert max(took) < machine.allows_s(ANSWER_WITHIN_S, 3)
