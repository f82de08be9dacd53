"""The embedded Redis as a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from shared.embedded import EmbeddedRedis
from shared.errors import StartRefused
from shared.home import prepare_folder
from shared.redis_binary import ServerBinary, inspect_binary


@pytest.fixture
def embedded(redis_binary: ServerBinary, tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """One in a folder whose name needs quoting, not started."""
    folder = tmp_path / "a \"b\" 'c' é" / ".inturn"
    prepare_folder(folder)
    server = EmbeddedRedis(redis_binary, folder)
    yield server
    server.stop()


def client_of(server: EmbeddedRedis) -> Redis:
    """A client by the URL that services get."""
    client: Redis = Redis.from_url(server.url, protocol=2, decode_responses=True)
    return client


def test_it_starts_private_and_durable(embedded: EmbeddedRedis) -> None:
    """No port, nobody else's eyes, every write synced, nothing evicted."""
    embedded.start()
    embedded.wait_ready(10)
    assert embedded.socket.stat().st_mode & 0o777 == 0o700
    assert embedded.socket.parent.stat().st_mode & 0o777 == 0o700
    with client_of(embedded) as client:
        config = client.config_get("*")
    assert config["port"] == "0"
    assert config["appendfsync"] == "always"
    assert config["maxmemory-policy"] == "noeviction"
    assert config["save"] == ""


def test_data_survives_a_restart(embedded: EmbeddedRedis) -> None:
    """What was written before an orderly end is there after the next start."""
    embedded.start()
    embedded.wait_ready(10)
    with client_of(embedded) as client:
        client.xadd("stream", {"text": "hello"}, id="5-1")
    embedded.stop()
    assert not embedded.socket.exists()
    embedded.start()
    embedded.wait_ready(10)
    with client_of(embedded) as client:
        assert client.xrange("stream") == [("5-1", {"text": "hello"})]


def test_long_path_is_served_from_a_private_temporary_folder(
    redis_binary: ServerBinary, tmp_path: Path
) -> None:
    """A checkout deeper than a socket's path may be works, and its socket's folder goes with it."""
    folder = tmp_path / ("deep" * 30) / ".inturn"
    prepare_folder(folder)
    server = EmbeddedRedis(redis_binary, folder)
    try:
        server.start()
        server.wait_ready(10)
        assert folder not in server.socket.parents
        assert server.socket.parent.stat().st_mode & 0o777 == 0o700
        with client_of(server) as client:
            assert client.ping()
    finally:
        server.stop()
    assert not server.socket.parent.exists()


def test_last_log_line_tells_why_it_did_not_start(embedded: EmbeddedRedis) -> None:
    """A data folder that cannot be written is named in the refusal."""
    blocked = embedded.data / (
        "appendonlydir" if embedded.binary.version >= (7, 0, 0) else "appendonly.aof"
    )
    if embedded.binary.version >= (7, 0, 0):
        blocked.write_text("a file where a folder should be")
    else:
        blocked.mkdir()
    embedded.start()
    with pytest.raises(StartRefused, match=r"did not start: .*append"):
        embedded.wait_ready(10)


def test_redis_says_what_version_it_is(redis_binary: ServerBinary) -> None:
    """The version that tests and ``up`` print is the server's own."""
    assert inspect_binary(redis_binary.path) == redis_binary
    assert redis_binary.version >= (6, 2, 0)
