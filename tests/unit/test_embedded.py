"""The decisions of the embedded Redis that need no server."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.embedded import (
    SOCKET_PATH_MAX_BYTES,
    choose_socket,
    fits_socket,
    refuse_older_server,
    remove_left_socket,
    server_arguments,
)
from shared.errors import StartRefused
from shared.home import Running
from shared.redis_binary import ServerBinary

OLD = ServerBinary(path=Path("/usr/bin/redis-server"), version=(6, 2, 14))
NEW = ServerBinary(path=Path("/usr/bin/redis-server"), version=(7, 0, 15))


def a_path(length_bytes: int) -> Path:
    """An absolute path of that many bytes."""
    return Path("/" + "x" * (length_bytes - 1))


def test_socket_path_is_counted_in_bytes() -> None:
    """107 bytes are taken and 108 are not, whatever the letters."""
    assert fits_socket(a_path(SOCKET_PATH_MAX_BYTES))
    assert not fits_socket(a_path(SOCKET_PATH_MAX_BYTES + 1))
    assert not fits_socket(Path("/" + "é" * 54))


def test_socket_stays_in_a_folder_with_a_short_path() -> None:
    """The common case needs no second place."""
    folder = Path("/srv/bot/.inturn")
    assert choose_socket(folder, [Path("/tmp")]) == (folder / "redis.sock", None)


def test_long_path_moves_the_socket_to_a_temporary_folder() -> None:
    """A deep checkout still starts, and a long TMPDIR is passed over for a shorter one."""
    folder = a_path(120)
    assert choose_socket(folder, [Path("/tmp")])[1] == Path("/tmp")
    assert choose_socket(folder, [a_path(100), Path("/tmp")])[1] == Path("/tmp")


def test_no_place_for_the_socket_is_refused() -> None:
    """The message names the path, before Redis cuts it off silently."""
    with pytest.raises(StartRefused, match="too long for a socket"):
        choose_socket(a_path(120), [a_path(100)])


def test_server_listens_nowhere_but_on_its_socket() -> None:
    """No port, every write synced, nothing evicted."""
    words = server_arguments(Path("/srv/redis.sock"))
    settings = dict(zip(words[::2], words[1::2], strict=True))
    assert settings["--port"] == "0"
    assert settings["--unixsocketperm"] == "700"
    assert settings["--appendonly"] == "yes"
    assert settings["--appendfsync"] == "always"
    assert settings["--maxmemory-policy"] == "noeviction"


def test_older_server_does_not_start_empty_beside_newer_data(tmp_path: Path) -> None:
    """6.2 would not look into Redis 7's files and would begin with nothing."""
    refuse_older_server(OLD, tmp_path)
    (tmp_path / "appendonlydir").mkdir()
    refuse_older_server(NEW, tmp_path)
    with pytest.raises(StartRefused, match="written by Redis 7 or newer"):
        refuse_older_server(OLD, tmp_path)


def test_only_a_folder_of_ours_is_cleaned_up(tmp_path: Path) -> None:
    """What a killed ``up`` left goes; a note that points elsewhere removes nothing."""
    left, other = tmp_path / "inturn-abcdefgh", tmp_path / "home"
    for folder in (left, other):
        folder.mkdir()
        (folder / "redis.sock").touch()
        remove_left_socket(_noted(folder / "redis.sock"))
    assert not left.exists()
    assert other.exists()
    remove_left_socket(None)


def _noted(socket: Path) -> Running:
    return Running(up_pid=1, redis_pid=2, redis_socket=socket, port=None, consumer_port=None)
