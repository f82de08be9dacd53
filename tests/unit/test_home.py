"""The lock and the notes of a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared import home
from shared.errors import StartRefused
from shared.home import FolderLock, find_running, note_services, note_up, prepare_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A prepared ``.inturn``."""
    prepare_folder(tmp_path / ".inturn")
    return tmp_path / ".inturn"


def test_folder_is_private_and_out_of_version_control(folder: Path) -> None:
    """Messages lie in it: nobody else reads it, and no commit takes it along."""
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"


def test_running_one_is_found_while_its_lock_is_held(folder: Path) -> None:
    """Other commands see socket and ports as long as somebody runs, and no longer."""
    lock = FolderLock(folder)
    assert lock.take() is None
    assert find_running(folder) is None
    note_up(folder, redis_pid=7, redis_socket=folder / "a b.sock")
    note_services(folder, port=8420, consumer_port=8421)
    found = find_running(folder)
    assert found is not None
    assert (found.up_pid, found.redis_pid) == (os.getpid(), 7)
    assert (found.port, found.consumer_port) == (8420, 8421)
    assert found.redis_url == f"unix://{folder}/a%20b.sock"
    lock.release()
    assert find_running(folder) is None


def test_second_taker_is_told_pid_and_port(folder: Path) -> None:
    """Whoever starts twice learns what runs already."""
    lock = FolderLock(folder)
    lock.take()
    note_up(folder, redis_pid=None, redis_socket=None)
    note_services(folder, port=8420, consumer_port=8421)
    with pytest.raises(
        StartRefused, match=f"already running: pid {os.getpid()}, port 8420;"
    ) as told:
        FolderLock(folder).take()
    assert "INTURN_PORT" in str(told.value), "and what to do"
    lock.release()


def test_lock_of_a_dead_owner_names_what_is_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a Redis outlived its parent, the message says which process to end."""
    monkeypatch.setattr(home, "LEAVING_S", 0.05)
    monkeypatch.setattr(home, "_is_alive", lambda _pid: False)
    lock = FolderLock(folder)
    lock.take()
    note_up(folder, redis_pid=4711, redis_socket=folder / "redis.sock")
    with pytest.raises(StartRefused, match="its Redis was pid 4711"):
        FolderLock(folder).take()
    lock.release()


def test_notes_of_the_one_before_are_handed_over_and_forgotten(folder: Path) -> None:
    """After a crash nobody takes the old ports for the new ones."""
    note_up(folder, redis_pid=7, redis_socket=folder / "redis.sock")
    lock = FolderLock(folder)
    left = lock.take()
    assert left is not None
    assert left.redis_pid == 7
    assert find_running(folder) is None
    lock.release()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"up_pid": "x"}'])
def test_damaged_note_is_no_note(folder: Path, text: str) -> None:
    """A file cut off by a full disk stops no command."""
    (folder / "up.json").write_text(text)
    lock = FolderLock(folder)
    assert lock.take() is None
    lock.release()


def test_folder_without_anything_has_nothing_running(tmp_path: Path) -> None:
    """A command outside any project finds nothing and leaves nothing behind."""
    assert find_running(tmp_path / ".inturn") is None
    assert list(tmp_path.iterdir()) == []
