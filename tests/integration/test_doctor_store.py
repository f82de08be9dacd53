"""``inturn doctor`` on real servers, a healthy one and sick ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from ops.cli import inturn
from tests.support.redis_server import RedisServer

PHONE = "491700000001"

SEND = {
    "token": "worker-a:1:2",
    "worker": "",
    "attempt": 1,
    "sent": 0,
    "held": "",
    "retry_at": 0,
    "delay": 0,
}
"""The record of a send that nobody has in hand."""


@pytest.fixture
def server(durable_redis: RedisServer) -> RedisServer:
    """With data of two partitions and a worker on both."""
    with Redis.from_url(durable_redis.url) as client:
        meta = {"partitions": 2, "layout": 1, "log_key": "00" * 16}
        client.hset("inturn:meta", mapping=meta)
        client.sadd("inturn:workers", "worker-a", "worker-gone")
        client.hset("inturn:worker:worker-a", "state", "up")
        for number in range(2):
            client.hset(f"inturn:{{{number}}}:lease", "owner", "worker-a")
    return durable_redis


@pytest.fixture
def client(server: RedisServer) -> Iterator[Redis]:
    """To make the server sick."""
    with Redis.from_url(server.url) as connected:
        yield connected


@pytest.fixture(autouse=True)
def shell(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """Settings that lead there, and fit the data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTURN_REDIS_URL", server.url)
    monkeypatch.setenv("INTURN_PARTITIONS", "2")
    return monkeypatch


def ask(*options: str) -> Result:
    """``inturn doctor``."""
    return CliRunner().invoke(inturn, ["doctor", *options])


def failing() -> tuple[Result, dict[str, str]]:
    """The report, and what its failing points say, by name."""
    result = ask("--json")
    points = json.loads(result.output)["points"]
    return result, {p["name"]: p["says"] for p in points if p["verdict"] == "fail"}


def test_healthy_server_and_no_trace(client: Redis) -> None:
    """Every point is ok, exit 0, and the probes left nothing behind."""
    before = sorted(client.keys())
    result = ask()
    assert result.exit_code == 0, result.output
    assert "FAIL" not in result.output
    assert "WARN" not in result.output
    assert "1 live, 0 draining" in result.output
    assert sorted(client.keys()) == before


def test_sick_server(client: Redis) -> None:
    """Eviction, no append-only file: each says what it costs and what to do; exit 1."""
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("appendonly", "no")
    result, points = failing()
    assert result.exit_code == 1
    assert set(points) == {"eviction", "append_only"}
    text = ask().output
    assert "costs: services do not start" in text
    assert "do: set appendonly yes" in text


def test_what_fails_is_named_by_its_kind(client: Redis) -> None:
    """Who is woken reads why nobody is answered: not what a handler said, and of whom."""
    window = {
        "ids": ["1-1"],
        "window_id": "w_a",
        "closed_by": "max_wait",
        "opened_at": 1,
        "closed_at": 2,
        "token": "worker-a:1:1",
        "worker": "",
        "attempt": 1,
        "retry_at": 3,
        "delay": 1000,
        "since": 0,
        "started": 2,
    }
    said = f"answered 401 Unauthorized: no {PHONE}"
    client.hset("inturn:{0}:running", "shop\0e", json.dumps(window | {"error": "timeout"}))
    client.hset("inturn:{0}:running", "shop\0a", json.dumps(window | {"error": said}))
    client.hset("inturn:{0}:running", "shop\0b", json.dumps(window | {"error": ""}))
    client.hset("inturn:{1}:running", "shop\0c", json.dumps(window | {"error": said}))
    client.hset("inturn:{1}:running", "shop\0d", "damaged")
    client.hset("inturn:{0}:sending", "1-1", json.dumps(SEND | {"error": "no answer: Timeout"}))
    refused = f"refused: the provider answered 400: no {PHONE}"
    client.hset("inturn:{0}:sending", "2-1", json.dumps(SEND | {"held": refused, "error": "old"}))
    result = ask()
    assert "come to nothing: answered 401 Unauthorized (2), timeout (1)\n" in result.output
    assert "replies do not leave: no answer (1)\n" in result.output
    assert "replies wait for a decision: the provider answered 400 (1)\n" in result.output
    assert result.output.count("WARN") == 3
    assert PHONE not in result.output


def test_of_very_many_that_fail_it_counts_some_and_says_so(client: Redis) -> None:
    """Redis answers nobody else during a step of a scan: so there is one for each partition."""
    send = json.dumps(SEND | {"error": "no answer"})
    for number in range(1000):
        client.hset("inturn:{0}:sending", f"{number}-1", send)
    assert "replies do not leave: no answer (at least " in ask().output


def test_denied_commands_are_named(
    client: Redis, server: RedisServer, shell: pytest.MonkeyPatch
) -> None:
    """A user without scripts and without INFO learns which rights are missing, and no more."""
    commands = ["+@all", "-eval", "-info", "-config"]
    client.acl_setuser(
        "narrow",
        enabled=True,
        nopass=True,
        keys=["inturn:*"],
        reset_channels=True,
        channels=["inturn:*"],
        commands=commands,
    )
    shell.setenv("INTURN_REDIS_URL", f"{server.url}?username=narrow&password=x")
    result, points = failing()
    assert result.exit_code == 1
    assert points == {"rights": "not allowed: EVAL, INFO"}


def test_keys_outside_the_prefix_are_denied_by_name(
    client: Redis, server: RedisServer, shell: pytest.MonkeyPatch
) -> None:
    """A user for another prefix may do nothing here."""
    client.acl_setuser("other", enabled=True, nopass=True, keys=["shop:*"], commands=["+@all"])
    shell.setenv("INTURN_REDIS_URL", f"{server.url}?username=other&password=x")
    _, points = failing()
    assert "XADD" in points["rights"]


def test_wrong_password(client: Redis, server: RedisServer, shell: pytest.MonkeyPatch) -> None:
    """It is among what is to be checked, and is not printed."""
    client.acl_setuser("strict", enabled=True, passwords=["+right"], keys=["*"], commands=["+@all"])
    shell.setenv("INTURN_REDIS_URL", f"{server.url}?username=strict&password=wrong")
    result = ask()
    assert result.exit_code == 1
    assert "user and password in INTURN_REDIS_URL" in result.output
    assert "wrong" not in result.output


def test_silent_server(server: RedisServer) -> None:
    """One point, which says where it was looked for."""
    server.kill()
    result, points = failing()
    assert result.exit_code == 1
    assert list(points) == ["reachable"]
    assert str(server.socket) in points["reachable"]


def test_full_server(client: Redis) -> None:
    """That writes are refused is found by trying, whatever the percentage."""
    client.config_set("maxmemory", "1")
    _, points = failing()
    assert set(points) == {"rights", "memory"}
    assert "OOM" in points["rights"]


def test_other_partitions_and_nobody_at_work(client: Redis, shell: pytest.MonkeyPatch) -> None:
    """A setting that does not fit the data, partitions without owner, and no worker."""
    shell.setenv("INTURN_PARTITIONS", "16")
    client.delete("inturn:worker:worker-a", "inturn:{1}:lease")
    _, points = failing()
    assert set(points) == {"partitions", "workers", "owners"}
    assert "INTURN_PARTITIONS is 16" in points["partitions"]
    assert points["owners"] == "1 of 2 partitions have no owner: 1"
