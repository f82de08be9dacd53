"""The users and the configuration that ``deploy/redis`` has for Redis, on a real one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.exceptions import ConnectionError as RedisConnectionError

from ingest.append import RedisAppender
from ops.cli import inturn
from shared.errors import BrokerRefused, StartRefused
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import Message
from shared.preflight import prepare
from shared.redis_binary import ServerBinary
from shared.settings import Settings
from shared.tickets import Tickets
from tests.support.deploy_files import DEPLOY, prepared_copy
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer
from tests.support.redis_users import (
    ROLES,
    SELECTORS_SINCE,
    Role,
    as_user,
    denied_commands,
    note_users,
    shipped_for,
    write_users,
)
from tests.support.waiting import wait_until

MESSAGE = Message(instance="shop", user="ana", message_id="M1", received_at=1)

ELSEWHERE = {"bind", "port", "dir", "aclfile", "protected-mode"}
"""Directives that the tests' servers have their own values for."""


@pytest.fixture
def server(redis_binary: ServerBinary, tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, with the shipped configuration and users."""
    with RedisServer(redis_binary, options=shipped_options(tmp_path, redis_binary)) as running:
        note_users(running.url)
        yield running


def shipped_options(folder: Path, binary: ServerBinary) -> dict[str, str]:
    """The directives of ``redis.conf``, with its users for this test."""
    lines = (DEPLOY / "redis" / "redis.conf").read_text().splitlines()
    pairs = (line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    options = {name: value.strip('"') for name, value in pairs if name not in ELSEWHERE}
    return options | {"aclfile": str(write_users(folder, binary.version))}


def connected(server: RedisServer, role: Role) -> Redis:
    """A plain client as that user."""
    return Redis.from_url(as_user(server.url, role), protocol=2)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "command",
    ["FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG SET maxmemory 1", "SHUTDOWN", "ACL SETUSER x on"],
)
def test_no_user_may_harm_the_server(server: RedisServer, role: Role, command: str) -> None:
    """Nobody who has a password of inturn's can delete everything, or change Redis."""
    with connected(server, role) as client, pytest.raises(NoPermissionError):
        client.execute_command(*command.split())


@pytest.mark.parametrize("role", ROLES)
def test_no_user_sees_other_keys(server: RedisServer, role: Role) -> None:
    """Other programs on the same Redis keep their keys and channels to themselves."""
    with connected(server, role) as client:
        client.hget("inturn:meta", "partitions")
        with pytest.raises(NoPermissionError):
            client.hget("sessions", "ana")
        with pytest.raises(NoPermissionError):
            client.publish("news", "hello")


@pytest.mark.parametrize(
    "command",
    [
        "XREADGROUP GROUP workers x STREAMS {key} >",
        "XACK {key} workers 1-1",
        "XTRIM {key} MAXLEN 0",
        "XAUTOCLAIM {key} workers x 0 0-0",
        "XGROUP DESTROY {key} workers",
        "DEL {key}",
        "EXPIRE {key} 1",
        "RENAME {key} {key}",
    ],
)
def test_ingest_takes_no_message_away(server: RedisServer, command: str) -> None:
    """The service that faces the internet can add messages, and neither finish nor delete any."""
    words = command.replace("{key}", "inturn:{0}:stream:shop").split()
    with connected(server, "ingest") as client, pytest.raises(NoPermissionError):
        client.execute_command(*words)


def test_both_files_grant_the_same_commands() -> None:
    """The users for 6.2 are those for 7, without the keys that some rights are limited to."""
    seven, six = ((DEPLOY / "redis" / name).read_text() for name in ("users.acl", "users-6.2.acl"))
    assert "(" not in six
    flat = re.sub(r"\(([^)]*)\)", lambda found: re.sub(r" ~\S+", "", found[1]), seven)
    assert [line.split() for line in six.splitlines()] == [
        line.split() for line in flat.splitlines()
    ]


@pytest.mark.parametrize(
    "command, may, may_not",
    [
        ("XDEL {key} 1-1", ("{0}:dead", "{0}:outbox"), ("{0}:stream:shop", "{0}:stream:dead")),
        ("UNLINK {key}", ("{clinic:dental}:tickets",), ("{0}:stream:shop", "{0}:dead", "meta")),
        ("PEXPIRE {key} 1", ("{0}:seen:1:ab", "{0}:human:ab"), ("{0}:stream:shop", "{0}:dead")),
        ("PEXPIREAT {key} 1", ("{0}:seen:0:ab", "{0}:sent:0:ab"), ("{0}:outbox", "settings")),
    ],
)
def test_ingest_deletes_only_what_it_must(
    server: RedisServer, redis_binary: ServerBinary, command: str, may: Sequence[str],
    may_not: Sequence[str],
) -> None:  # fmt: skip
    """What a person discards, yesterday's queue, and what expires anyway: no message."""
    with connected(server, "ingest") as client:
        for key in may:
            assert client.execute_command(*command.replace("{key}", f"inturn:{key}").split()) == 0
        if redis_binary.version < SELECTORS_SINCE:
            pytest.skip("this Redis knows no rights that are for some keys alone")
        for key in may_not:
            with pytest.raises(NoPermissionError):
                client.execute_command(*command.replace("{key}", f"inturn:{key}").split())


def test_without_a_user_nobody_gets_in(redis_binary: ServerBinary, tmp_path: Path) -> None:
    """``default`` is off, and the shipped file does not load before its passwords are written."""
    shipped = (DEPLOY / "redis" / shipped_for(redis_binary.version)).read_text()
    assert shipped.startswith("user default off\n")
    assert re.findall(r"#(\w+)_SHA256", shipped) == [role.upper() for role in ROLES]
    users = tmp_path / "shipped.acl"
    users.write_text(shipped)
    server = RedisServer(redis_binary, options={"aclfile": str(users)})
    try:
        with pytest.raises(AssertionError, match="ACL"):
            server.start()
    finally:
        server.close()


def test_prepared_passwords_open_redis(redis_binary: ServerBinary, tmp_path: Path) -> None:
    """The users that ``deploy/prepare`` has made get in by the addresses that it has written."""
    private = prepared_copy(tmp_path, REDIS_USERS=shipped_for(redis_binary.version))
    options = {"aclfile": str(private / "users.acl")}
    server = RedisServer(redis_binary, on_port=True, options=options)
    try:
        server.start(wait=False)
        for role in ROLES:
            url = (private / f"redis_url_{role}").read_text()
            wait_until(partial(gets_in, url.replace("redis:6379", f"127.0.0.1:{server.port}")), url)
        assert not gets_in(server.url)
    finally:
        server.close()


def gets_in(url: str) -> bool:
    """Whether the server is up and takes this user's commands."""
    with Redis.from_url(url, protocol=2) as client:
        try:
            return bool(client.ping())
        except (AuthenticationError, RedisConnectionError):
            return False


def test_the_operators_doctor_finds_nothing(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped Redis keeps what inturn promises, and its users lack no right."""
    monkeypatch.chdir(tmp_path)
    assert failing_points(server, monkeypatch) == {}
    assert denied_commands(server.url) == []


@pytest.mark.parametrize(
    "name, wrong, point",
    [("maxmemory-policy", "allkeys-lru", "eviction"), ("appendonly", "no", "append_only")],
)
def test_a_mistake_in_the_configuration_is_found(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, wrong: str,
    point: str,
) -> None:  # fmt: skip
    """A Redis that evicts, or forgets with its process, does not pass for the shipped one."""
    monkeypatch.chdir(tmp_path)
    with Redis.from_url(server.url) as client:
        client.config_set(name, wrong)
    assert point in failing_points(server, monkeypatch)


def failing_points(server: RedisServer, shell: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ``inturn doctor`` is not content with, but for workers: there are none."""
    shell.setenv("INTURN_REDIS_URL", as_user(server.url, "operator"))
    result = CliRunner().invoke(inturn, ["doctor", "--json"])
    points = json.loads(result.output)["points"]
    return {p["name"]: p["says"] for p in points if p["verdict"] == "fail"}


async def test_ingest_lacks_no_right_for_tickets(server: RedisServer) -> None:
    """Every verb of a queue, its days and its events, and hearing of changes."""
    async with running_pipe(as_user(server.url, "ingest")) as pipe:
        await prepare(pipe, Settings())
        tickets = Tickets.for_settings(Settings(), pipe)
        await tickets.enter("clinic", "ana")
        await tickets.done("clinic")
        await tickets.snapshot("clinic")
        await tickets.reset("clinic")
        await tickets.days("clinic")
        await pipe.call("SUBSCRIBE", tickets.channel)
    assert denied_commands(server.url) == []


@pytest.mark.parametrize("right", ["+xadd ", "+evalsha ", "~inturn:* "])
async def test_a_missing_right_is_found(
    redis_binary: ServerBinary, tmp_path: Path, right: str
) -> None:
    """A command or a key that was forgotten is told, also where a script was denied it."""
    users = write_users(tmp_path, redis_binary.version, prefix="other-")
    users.write_text(users.read_text().replace(right, ""))
    with RedisServer(redis_binary, options={"aclfile": str(users)}) as server:
        note_users(server.url)
        async with running_pipe(as_user(server.url, "ingest")) as pipe:
            metrics = IngestMetrics(InstanceLabels(1))
            appender = RedisAppender(pipe, Keys("inturn", 1), 60_000, metrics)
            with pytest.raises((BrokerRefused, StartRefused)):
                await appender.append([MESSAGE])
        (denied,) = denied_commands(server.url)
        assert denied.startswith("ingest: ")
