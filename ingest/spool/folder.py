"""
The folders of the spool: one per process under ``SPOOL_DIR``, each held by a lock.

A process writes only to the folder that it made itself. Whoever finds a folder whose lock
(``flock``) is free knows that its process is gone, adopts it and replays it. The kernel frees a
lock with its process, however that ended; nobody has to judge by times or by process ids.

    <SPOOL_DIR>/<ms>-<pid>-<random>/
        lock               held for as long as somebody works on the folder; says who (pid and
                           own folder), and for which PREFIX: what was spooled for other data is
                           not ours to replay
        <number>.spool     records in the order in which they were written
        cursor             how far the first of them is in Redis
        refused            records that Redis refuses for their own sake, kept for a person
        <number>.damaged   a replayed file in which something could not be read, as it was
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from ingest.spool.files import (
    CURSOR,
    DAMAGED_SUFFIX,
    REFUSED,
    Sealed,
    cursor_line,
    read_cursor,
    scan_file,
    survey_folder,
)
from ingest.spool.record import Record, Scan, pack_record
from ingest.spool.segment import FILE_MODE, SUFFIX, sync_folder, write_all

FOLDER_MODE = 0o700
LOCK = "lock"

_NAME = re.compile(r"\d{13}-\d+-[0-9a-f]{6}")
"""What is called otherwise is not ours."""


class HeldFolder:
    """A folder whose lock is ours; ``backlog`` are its files that wait for their replay."""

    def __init__(self, path: Path, lock_fd: int, prefix: str) -> None:
        self.path = path
        self._prefix = prefix
        self.backlog: deque[Sealed] = deque()
        self._lock_fd = lock_fd
        self._cursor_fd = -1

    @classmethod
    def create(cls, root: Path, prefix: str) -> Self:
        """
        A new folder under ``root``, for the data under ``prefix``.

        Raises:
            OSError: it cannot be made, locked or signed, or its name not be kept.
        """
        while True:
            folder = cls.planned(root, prefix)
            with suppress(BlockingIOError):
                folder.make()
                return folder

    @classmethod
    def planned(cls, root: Path, prefix: str) -> Self:
        """One that is not there before somebody calls ``make``."""
        name = f"{time.time_ns() // 1_000_000:013d}-{os.getpid()}-{secrets.token_hex(3)}"
        return cls(root / name, -1, prefix)

    @property
    def was_made(self) -> bool:
        """Whether it was there, and locked, at some time."""
        return self._lock_fd >= 0

    @classmethod
    def adopt(cls, path: Path, heir: str, prefix: str) -> Self | None:
        """
        Take over what a process left behind; None: it still works, or somebody was faster.

        ``heir`` is the name of our own folder. The files are looked through for damage, which
        never stops anything.
        """
        lock_fd = _try_lock(path)
        if lock_fd is None:
            return None
        with suppress(OSError):
            _sign(lock_fd, heir, prefix)
        folder = cls(path, lock_fd, prefix)
        folder.backlog.extend(folder.survey())
        return folder

    def make(self) -> None:
        """
        Make our own folder and its lock: it is new, or somebody has removed it.

        Raises:
            BlockingIOError: somebody looked into it at this very moment.
            OSError: it is there, or cannot be made now.
        """
        self.path.mkdir(mode=FOLDER_MODE, parents=True)
        lock_fd = None
        try:
            lock_fd = _lock(self.path)
            if lock_fd is None:
                raise BlockingIOError(errno.EAGAIN, "somebody looks into the new folder")
            _sign(lock_fd, self.path.name, self._prefix)
            sync_folder(self.path.parent)
        except OSError:
            # without a lock others would take what we write for what a dead process left
            shutil.rmtree(self.path, ignore_errors=True)
            if lock_fd is not None:
                os.close(lock_fd)
            raise
        if self.was_made:
            os.close(self._lock_fd)
        self._lock_fd = lock_fd
        self._cursor_fd = -1  # not closed: the loop may be writing to it

    def survey(self) -> list[Sealed]:
        """The files as they stand on the disk, the oldest first, from the cursor on."""
        return list(survey_folder(self.path))

    @property
    def messages(self) -> int:
        """Messages of sealed files that are not in Redis yet."""
        return sum(sealed.messages for sealed in self.backlog)

    def read(self, sealed: Sealed) -> Scan:
        """
        What of a file is still to be replayed; one that the disk cannot read, or that somebody
        has removed, is all damage.

        Raises:
            OSError: it cannot be read now (no descriptor is free, ...); try again.
        """
        scan = scan_file(sealed.path, read_cursor(self.path))
        is_gone = not scan.records and not sealed.path.exists()
        return Scan((), 1) if is_gone else scan

    def note(self, sealed: Sealed, record: Record) -> None:
        """
        Remember that everything up to the end of ``record`` is in Redis.

        Not synced, and not insisted upon: on a full disk, or after a crash of the machine, dedupe
        catches what is replayed again.
        """
        line = cursor_line(sealed.path.name, record.end)
        with suppress(OSError):
            if self._cursor_fd < 0:
                self._cursor_fd = os.open(self.path / CURSOR, os.O_WRONLY | os.O_CREAT, FILE_MODE)
            os.pwrite(self._cursor_fd, line, 0)

    def set_aside(self, payload: bytes) -> None:
        """
        Keep a record that Redis refuses for its own sake where a person finds it.

        Raises:
            OSError: it is not kept; the record must not be passed over.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        fd = os.open(self.path / REFUSED, flags, FILE_MODE)
        try:
            write_all(fd, pack_record(payload))
            os.fsync(fd)
        finally:
            os.close(fd)

    def finish(self, sealed: Sealed) -> None:
        """The file is in Redis as far as it can be read: remove it, or keep what is damaged."""
        with suppress(OSError):
            if sealed.damaged:
                sealed.path.rename(sealed.path.with_suffix(DAMAGED_SUFFIX))
            else:
                sealed.path.unlink()
        self.backlog.remove(sealed)

    def release(self) -> None:
        """Let go of the lock; a folder that holds nothing any more is removed before."""
        if self._cursor_fd >= 0:
            os.close(self._cursor_fd)
            self._cursor_fd = -1
        with suppress(OSError):
            names = {entry.name for entry in os.scandir(self.path)}
            if names <= {LOCK, CURSOR}:
                for name in names:
                    (self.path / name).unlink()
                self.path.rmdir()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1


def folders_of(root: Path, prefix: str) -> list[Path]:
    """The folders of the data under ``prefix``, the oldest first; also those that do not say."""
    paths = []
    with suppress(OSError):
        paths = sorted(path for path in root.iterdir() if _NAME.fullmatch(path.name))
    return [path for path in paths if _signature(path).prefix in (prefix, "")]


def inherited_files(root: Path, prefix: str) -> set[Path]:
    """What dead processes have spooled and a live one is replaying now."""
    return {
        file
        for folder in folders_of(root, prefix)
        if _signature(folder).owner not in (folder.name, "") and holder_of(folder) is not None
        for file in folder.glob(f"*{SUFFIX}")
    }


def may_be_adopted(path: Path) -> bool:
    """Whether a folder holds something to replay, or nothing at all; whoever holds it."""
    try:
        names = {entry.name for entry in os.scandir(path)}
    except OSError:
        return False
    return names <= {LOCK, CURSOR} or any(name.endswith(SUFFIX) for name in names)


def holder_of(path: Path) -> int | None:
    """The pid of who works on a folder now (0: it does not say); None: nobody."""
    try:
        fd = os.open(path / LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _signature(path).pid
    finally:
        os.close(fd)
    return None


class _Signature(NamedTuple):
    """Who works on a folder: its process, by its pid and its own folder, and for which data."""

    pid: int
    owner: str
    prefix: str


def _sign(lock_fd: int, owner: str, prefix: str) -> None:
    """Over what stands there, which a full disk allows; where it fails, that stands on."""
    text = f"{os.getpid()} {owner} {prefix}\n".encode()
    os.pwrite(lock_fd, text.ljust(os.fstat(lock_fd).st_size), 0)


def _signature(path: Path) -> _Signature:
    """All of it empty where it cannot be read."""
    try:
        pid, owner, prefix = (path / LOCK).read_text(errors="replace").split()
    except (OSError, ValueError):
        return _Signature(0, "", "")
    return _Signature(int(pid) if pid.isdecimal() else 0, owner, prefix)


def _try_lock(path: Path) -> int | None:
    """The lock's descriptor; None: it cannot be had now."""
    try:
        return _lock(path)
    except OSError:
        return None


def _lock(path: Path) -> int | None:
    """
    The lock's descriptor; None: somebody else has it, or has just removed the folder.

    Raises:
        OSError: there is no room for it, or this file system knows no locks.
    """
    try:
        fd = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, FILE_MODE)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever removes a folder holds its lock: ours may be that of a file that is gone.
        if (path / LOCK).stat().st_ino == os.fstat(fd).st_ino:
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(fd)
        raise
    os.close(fd)
    return None
