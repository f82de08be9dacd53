"""F7 for the embedded Redis: killed at any moment, it has what it answered."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from shared.embedded import EmbeddedRedis
from shared.home import prepare_folder
from shared.redis_binary import ServerBinary
from tests.support.waiting import wait_until

KILLS = 5
AFTER_WRITES = 300


@pytest.fixture
def embedded(redis_binary: ServerBinary, tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A started one."""
    prepare_folder(tmp_path / ".inturn")
    server = EmbeddedRedis(redis_binary, tmp_path / ".inturn")
    server.start()
    server.wait_ready(10)
    yield server
    server.stop()


def client_of(server: EmbeddedRedis) -> Redis:
    """One that never sends a command twice."""
    client: Redis = Redis.from_url(server.url, protocol=2, retry=Retry(NoBackoff(), 0))
    return client


def restart(server: EmbeddedRedis) -> None:
    """As the supervisor does after a death."""
    assert server.exit_code() is not None
    server.start()
    server.wait_ready(30)


def kill(server: EmbeddedRedis) -> None:
    """SIGKILL, and wait until it is gone."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: server.exit_code() is not None, "its end")


def append_file(data: Path) -> Path:
    """The file that Redis appends to, where 6.2 and where 7 have it."""
    newer = sorted((data / "appendonlydir").glob("*.incr.aof"))
    return newer[-1] if newer else data / "appendonly.aof"


def test_kill_of_redis_loses_nothing_that_it_answered(embedded: EmbeddedRedis) -> None:
    """With ``always``, every entry whose id came back is there after each of several kills."""
    answered: list[bytes] = []
    for _ in range(KILLS):
        with client_of(embedded) as client:
            answered += (client.xadd("stream", {"text": "hello"}) for _ in range(AFTER_WRITES))
            kill(embedded)
            with pytest.raises(RedisConnectionError):
                client.xadd("stream", {"text": "nobody answers"})
        restart(embedded)
    with client_of(embedded) as client:
        kept = {entry_id for entry_id, _ in client.xrange("stream")}
    assert len(answered) == KILLS * AFTER_WRITES
    assert set(answered) <= kept


@pytest.mark.parametrize("cut_bytes", [1, 7, 40])
def test_truncated_tail_of_the_file_is_loaded(embedded: EmbeddedRedis, cut_bytes: int) -> None:
    """A last write that a host crash cut off is dropped, and everything before it is kept."""
    with client_of(embedded) as client:
        for number in range(10):
            client.set(f"key:{number}", "x" * 100)
    kill(embedded)
    path = append_file(embedded.data)
    os.truncate(path, path.stat().st_size - cut_bytes)
    restart(embedded)
    with client_of(embedded) as client:
        assert client.dbsize() == 9
        assert client.set("key:9", "again")
