"""The spool on a disk that is full or fails: what is refused, and what is kept."""

from __future__ import annotations

import asyncio
import errno
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ingest.spool import segment
from ingest.spool.files import count_kept
from ingest.spool.folder import HeldFolder, folders_of, holder_of
from ingest.spool.payload import Spooled, encode_spooled
from ingest.spool.spool import Spool
from shared.errors import SpoolUnavailable, StartRefused
from tests.support.disk_spool import PREFIX, files_limited_to, numbers, open_spool
from tests.support.spooling import message
from tests.support.waiting import eventually


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    """One process's spool in ``tmp_path``."""
    made = open_spool(tmp_path)
    yield made
    made.close()


async def test_files_are_for_this_user_alone(spool: Spool, tmp_path: Path) -> None:
    """Messages and phone numbers stand in them, and nothing of it in their names."""
    await spool.put([message(1, user="+4915112345678", text="my secret")])

    [folder] = folders_of(tmp_path, PREFIX)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert not {"4915112345678", "secret"} & set(file.name.split("-"))


async def test_a_full_disk_refuses_a_batch_whole_and_keeps_the_rest(spool: Spool) -> None:
    """What was kept before stays whole, the refused batch leaves no trace, the next one is kept."""
    await spool.put([message(1)])
    with files_limited_to(64 * 1024):
        with pytest.raises(SpoolUnavailable):
            await spool.put([message(2), message(3, text="x" * 70_000)])
        assert spool.problem is not None
        await spool.put([message(4)])
    assert spool.problem is None
    await spool.put([message(5)])
    await spool.seal()

    assert numbers(spool) == [1, 4, 5]
    assert spool.messages == 3


async def test_a_failed_sync_is_not_tried_again_on_its_file(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it the kernel may call pages clean that never reached the disk: a new file follows."""
    await spool.put([message(1)])
    sync, failures, synced = segment._sync, [OSError(errno.EIO, "broken")], []

    def fail_once(fd: int) -> None:
        synced.append(fd)
        if failures:
            raise failures.pop()
        sync(fd)

    monkeypatch.setattr(segment, "_sync", fail_once)
    with pytest.raises(SpoolUnavailable, match="broken"):
        await spool.put([message(2)])
    await spool.put([message(3)])
    await spool.seal()

    assert numbers(spool) == [1, 3]
    assert [sealed.path.name[:12] for _, sealed in spool.backlog()] == [
        "000000000001",
        "000000000002",
    ]
    assert len(synced) == 2


async def test_what_waits_shares_a_sync(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told before the sync of his own message, and a hundred share the next one."""
    go, syncs, sync = threading.Event(), [], segment._sync

    def wait(fd: int) -> None:
        syncs.append(fd)
        go.wait(10)
        sync(fd)

    monkeypatch.setattr(segment, "_sync", wait)
    first = asyncio.create_task(spool.put([message(0)]))
    await eventually(lambda: syncs, "the first sync")
    others = [asyncio.create_task(spool.put([message(n)])) for n in range(1, 101)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in (first, *others))
    go.set()
    await asyncio.gather(first, *others)
    await spool.seal()

    assert len(syncs) == 2
    assert numbers(spool) == list(range(101))


async def test_the_limit_counts_all_of_the_folder(spool: Spool, tmp_path: Path) -> None:
    """What other processes have left there counts, and a message that does not fit is refused."""
    await spool.put([message(1, text="x" * 3000)])
    other = open_spool(tmp_path, max_bytes=5000)
    try:
        await other.put([message(2)])
        with pytest.raises(SpoolUnavailable, match="full"):
            await other.put([message(3, text="x" * 2000)])
        await other.put([message(4)])
        await other.seal()
        assert numbers(other) == [2, 4]
    finally:
        other.close()


async def test_a_folder_that_cannot_be_written_refuses_the_start(tmp_path: Path) -> None:
    """Whoever relies on the spool is told at the start, by the setting's name."""
    (tmp_path / "file").touch()
    with pytest.raises(StartRefused, match="INTURN_SPOOL_DIR"):
        open_spool(tmp_path / "file" / "spool")


async def test_a_full_disk_does_not_keep_a_process_from_starting(tmp_path: Path) -> None:
    """Redis may be well: the spool says that it can keep nothing, and does when there is room."""
    with capture_logs() as said, files_limited_to(0):
        spool = open_spool(tmp_path / "spool")
        assert spool.problem is not None
        with pytest.raises(SpoolUnavailable):
            await spool.put([message(1)])
    assert [line["event"] for line in said] == ["spool.failed"]
    assert folders_of(tmp_path / "spool", PREFIX) == []

    await spool.put([message(2)])
    assert spool.problem is None
    [folder] = folders_of(tmp_path / "spool", PREFIX)
    assert holder_of(folder) is not None
    await spool.seal()
    assert numbers(spool) == [2]
    spool.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
async def test_a_disk_without_room_for_a_folder_lets_a_process_start_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Not even the folder fits: nothing is left behind, and nothing waits for it."""

    def no_room(*_args: object, **_options: object) -> None:
        raise OSError(code, "no room")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", no_room)
        spool = open_spool(tmp_path)
    assert spool.problem is not None
    assert await spool.adopt() == 0
    spool.close()

    assert folders_of(tmp_path, PREFIX) == []


async def test_a_record_that_is_set_aside_is_kept_whole_or_not_passed_over(tmp_path: Path) -> None:
    """On a disk with room for half of it the replay stops: nothing else has this message."""
    folder = HeldFolder.create(tmp_path, PREFIX)
    payload = encode_spooled(Spooled(message=message(1, text="x" * 70_000), at=1))
    with files_limited_to(64 * 1024), pytest.raises(OSError, match="too large"):
        folder.set_aside(payload)
    folder.set_aside(payload)

    kept, _ = count_kept(folder.path)
    assert kept == 1


async def test_after_the_end_nothing_is_taken(tmp_path: Path) -> None:
    """A request that comes while the process ends is told so, and not left waiting."""
    spool = open_spool(tmp_path)
    spool.close()
    with pytest.raises(SpoolUnavailable):
        await spool.put([message(1)])
