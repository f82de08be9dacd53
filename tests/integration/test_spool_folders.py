"""The folders of the spool: each of one process, adopted, made again, signed and told apart."""

from __future__ import annotations

import errno
import fcntl
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingest.spool.folder import HeldFolder, folders_of, holder_of
from ingest.spool.spool import Spool
from shared.errors import SpoolUnavailable, StartRefused
from tests.support.disk_spool import PREFIX, files_limited_to, numbers, open_spool
from tests.support.spooling import message


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    """One process's spool in ``tmp_path``."""
    made = open_spool(tmp_path)
    yield made
    made.close()


@pytest.mark.timeout(20)
async def test_a_file_system_without_locks_refuses_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could tell a live process's folder there; and no folders are made in its stead."""

    def no_locks(_fd: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(StartRefused, match="INTURN_SPOOL_DIR"):
        open_spool(tmp_path)

    assert folders_of(tmp_path, PREFIX) == []


async def test_an_empty_folder_disappears_with_its_process(tmp_path: Path) -> None:
    """Starts and ends leave nothing behind."""
    open_spool(tmp_path).close()
    assert folders_of(tmp_path, PREFIX) == []


async def test_each_folder_is_adopted_by_one_process(spool: Spool, tmp_path: Path) -> None:
    """What a live process writes is its own; what a dead one left goes to whoever is first."""
    await spool.put([message(1)])
    first, second = open_spool(tmp_path), open_spool(tmp_path)
    try:
        assert await first.adopt() == 0
        spool.close()
        assert await first.adopt() + await second.adopt() == 1
        assert await second.adopt() == 0
        await first.put([message(2)])
        await first.seal()
        assert numbers(first) == [1, 2]
    finally:
        first.close()
        second.close()


async def test_a_folder_that_somebody_removes_takes_no_message_along_unsaid(
    spool: Spool, tmp_path: Path
) -> None:
    """Nothing is kept in a file without a name: one batch is refused, then there is a folder."""
    await spool.put([message(1)])
    [folder] = folders_of(tmp_path, PREFIX)
    shutil.rmtree(folder)
    with pytest.raises(SpoolUnavailable):
        await spool.put([message(2)])
    await spool.put([message(3)])
    await spool.seal()

    assert numbers(spool) == [3]
    assert holder_of(folder) is not None
    other = open_spool(tmp_path)
    try:
        assert await other.adopt() == 0
    finally:
        other.close()


async def test_a_folder_is_made_again_though_its_root_is_gone(spool: Spool, tmp_path: Path) -> None:
    """Who tidies up while nothing is spooled does not take the next outage's messages along."""
    shutil.rmtree(tmp_path)
    await spool.put([message(1)])
    await spool.seal()
    assert numbers(spool) == [1]


async def test_a_folder_stays_its_own_data_s_though_its_heir_cannot_sign(tmp_path: Path) -> None:
    """On a full disk an adopted folder does not become one that any other data may replay."""
    left = HeldFolder.create(tmp_path, PREFIX)
    (left.path / "000000000001.spool").write_bytes(b"x")
    left.release()
    with files_limited_to(0):
        heir = HeldFolder.adopt(left.path, "1" * 40, PREFIX)
    assert heir is not None
    heir.release()

    assert folders_of(tmp_path, "another") == []
    assert folders_of(tmp_path, PREFIX) == [left.path]


async def test_who_holds_a_folder_can_be_told(tmp_path: Path) -> None:
    """By its lock, which the kernel frees with the process, and not by its name."""
    folder = HeldFolder.create(tmp_path, PREFIX)
    assert holder_of(folder.path) is not None
    (folder.path / "000000000001.spool").write_bytes(b"x")
    folder.release()
    assert holder_of(folder.path) is None
    assert HeldFolder.adopt(folder.path, "heir", PREFIX) is not None
