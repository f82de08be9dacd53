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

import fcntl
import os
import re
import secrets
import time
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from ingest.spool.payload import Outcome, Spooled, decode_record, is_outcome
from ingest.spool.record import Record, Scan, pack_record, scan_records
from ingest.spool.segment import FILE_MODE, SUFFIX, sync_folder
from shared.errors import EntryUndecodable

FOLDER_MODE = 0o700
LOCK, CURSOR, REFUSED = "lock", "cursor", "refused"
DAMAGED_SUFFIX = ".damaged"

_NAME = re.compile(r"\d{13}-\d+-[0-9a-f]{6}")
"""What is called otherwise is not ours."""


@dataclass(slots=True, kw_only=True)
class Sealed:
    """A file that nobody writes to any more, and what of it is not in Redis yet."""

    path: Path
    messages: int
    size_bytes: int
    oldest_at: int | None
    damaged: int = 0
    """Runs of damage that were counted already."""
    outcomes: tuple[Outcome, ...] = ()
    """What it says of messages that were handled while Redis was away."""


class HeldFolder:
    """A folder whose lock is ours; ``backlog`` are its files that wait for their replay."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self.backlog: deque[Sealed] = deque()
        self._lock_fd = lock_fd
        self._cursor_fd = -1

    @classmethod
    def create(cls, root: Path, prefix: str) -> Self:
        """
        A new folder under ``root``, for the data under ``prefix``.

        Raises:
            OSError: it cannot be made, or its name not be kept.
        """
        while True:
            path = root / f"{time.time_ns() // 1_000_000:013d}-{os.getpid()}-{secrets.token_hex(3)}"
            path.mkdir(mode=FOLDER_MODE)
            lock_fd = _try_lock(path)
            if lock_fd is not None:  # else somebody looked into it at this very moment
                _sign(lock_fd, path.name, prefix)
                sync_folder(root)
                return cls(path, lock_fd)

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
        folder = cls(path, lock_fd)
        folder.backlog.extend(folder.survey())
        return folder

    def survey(self) -> list[Sealed]:
        """The files as they stand on the disk, the oldest first, from the cursor on."""
        return list(survey_folder(self.path))

    @property
    def messages(self) -> int:
        """Messages of sealed files that are not in Redis yet."""
        return sum(sealed.messages for sealed in self.backlog)

    def read(self, sealed: Sealed) -> Scan:
        """What of a file is still to be replayed; a file that cannot be read is all damage."""
        return scan_file(sealed.path, read_cursor(self.path))

    def note(self, sealed: Sealed, record: Record) -> None:
        """
        Remember that everything up to the end of ``record`` is in Redis.

        Not synced, and not insisted upon: on a full disk, or after a crash of the machine, dedupe
        catches what is replayed again.
        """
        text = f"{sealed.path.name} {record.end:012d}"
        line = f"{text} {zlib.crc32(text.encode()):08x}\n"
        with suppress(OSError):
            if self._cursor_fd < 0:
                self._cursor_fd = os.open(self.path / CURSOR, os.O_WRONLY | os.O_CREAT, FILE_MODE)
            os.pwrite(self._cursor_fd, line.encode(), 0)

    def set_aside(self, payload: bytes) -> None:
        """
        Keep a record that Redis refuses for its own sake where a person finds it.

        Raises:
            OSError: it is not kept; the record must not be passed over.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        fd = os.open(self.path / REFUSED, flags, FILE_MODE)
        try:
            os.write(fd, pack_record(payload))
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


def survey_folder(path: Path) -> Iterator[Sealed]:
    """The files of a folder as they stand on the disk, the oldest first, from the cursor on."""
    cursor = read_cursor(path)
    for file in sorted(path.glob(f"*{SUFFIX}")):
        scan = scan_file(file, cursor)
        messages = [one for one in scan.records if not is_outcome(one.payload)]
        with suppress(FileNotFoundError):
            yield Sealed(
                path=file,
                messages=len(messages),
                size_bytes=file.stat().st_size,
                oldest_at=_time_of(messages[0]) if messages else None,
                damaged=scan.damaged,
                outcomes=tuple(_outcomes_in(scan.records)),
            )


def count_kept(path: Path) -> tuple[int, int]:
    """Records that were set aside, and runs of damage in files that were kept for it."""
    damaged = sum(scan_file(file).damaged for file in path.glob(f"*{DAMAGED_SUFFIX}"))
    return len(scan_file(path / REFUSED).records), damaged


def scan_file(path: Path, cursor: tuple[str, int] | None = None) -> Scan:
    """What stands in a file behind the cursor, if that is the cursor's file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Scan((), 0)
    except OSError:
        return Scan((), 1)
    start = cursor[1] if cursor is not None and cursor[0] == path.name else 0
    return scan_records(data, start)


def read_cursor(path: Path) -> tuple[str, int] | None:
    """A folder's cursor: a file's name and an offset; None: there is none, or it is damaged."""
    try:
        text, _, crc = (path / CURSOR).read_text().strip().rpartition(" ")
        name, _, offset = text.partition(" ")
        if int(crc, 16) == zlib.crc32(text.encode()):
            return name, int(offset)
    except (OSError, ValueError):
        pass
    return None


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
    os.ftruncate(lock_fd, 0)
    os.pwrite(lock_fd, f"{os.getpid()} {owner} {prefix}\n".encode(), 0)


def _signature(path: Path) -> _Signature:
    """All of it empty where it cannot be read."""
    try:
        pid, owner, prefix = (path / LOCK).read_text(errors="replace").split()
    except (OSError, ValueError):
        return _Signature(0, "", "")
    return _Signature(int(pid) if pid.isdecimal() else 0, owner, prefix)


def _time_of(record: Record) -> int | None:
    with suppress(EntryUndecodable):
        found = decode_record(record.payload)
        return found.at if isinstance(found, Spooled) else None
    return None


def _outcomes_in(records: Iterable[Record]) -> Iterator[Outcome]:
    for record in records:
        if is_outcome(record.payload):
            with suppress(EntryUndecodable):
                found = decode_record(record.payload)
                if isinstance(found, Outcome):
                    yield found


def _try_lock(path: Path) -> int | None:
    """The lock's descriptor; None: somebody else has it, or has just removed the folder."""
    try:
        fd = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, FILE_MODE)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever removes a folder holds its lock: ours may be that of a file that is gone.
        if (path / LOCK).stat().st_ino == os.fstat(fd).st_ino:
            return fd
    except OSError:
        pass
    os.close(fd)
    return None
