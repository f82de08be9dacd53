"""INFO's text and the claims that are made of it."""

from __future__ import annotations

import pytest

from shared.preflight import server_problems
from shared.server_info import ServerInfo, parse_info

INFO = b"# Server\r\nredis_version:7.0.15\r\nexecutable:/a:b\r\n\r\n# Memory\r\nmaxmemory:5\r\n"


def test_info_is_read_line_by_line() -> None:
    """Section heads are no values, and only the first colon separates."""
    assert parse_info(INFO) == {"redis_version": "7.0.15", "executable": "/a:b", "maxmemory": "5"}


@pytest.mark.parametrize(
    "text, version",
    [("7.0.15", (7, 0, 15)), ("6.2", (6, 2, 0)), ("7.2.4-rc1", (7, 2, 0)), ("", (0, 0, 0))],
)
def test_version_is_three_numbers(text: str, version: tuple[int, int, int]) -> None:
    """Whatever a compatible server adds to them."""
    assert ServerInfo({"redis_version": text}).version == version


def test_missing_and_odd_values_are_nothing() -> None:
    """A server that leaves things out is no reason to fail."""
    info = ServerInfo({"maxmemory": "lots"})
    assert (info.number("maxmemory"), info.number("used_memory"), info.text("role")) == (0, 0, "")
    assert not info.evicts
    assert not info.is_cluster
    assert info.name == "Redis unknown"


def test_all_problems_of_a_server_are_told_at_once() -> None:
    """One start is enough to learn what must be changed."""
    info = ServerInfo(
        {"redis_version": "5.0.7", "maxmemory_policy": "allkeys-lru", "cluster_enabled": "1"}
    )
    problems = server_problems(info)
    assert len(problems) == 3
    assert "Redis 5.0.7 is too old" in problems[0]
    assert "set maxmemory-policy noeviction" in problems[1]


def test_valkey_is_named_by_its_own_version() -> None:
    """The person sees what was installed, and the floor is compared by what it is compatible to."""
    info = ServerInfo({"redis_version": "7.2.4", "valkey_version": "8.1.0"})
    assert info.name == "Valkey 8.1.0"
    assert not info.is_too_old
