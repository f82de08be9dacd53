"""
One append-only file of the spool.

What ``commit`` has returned for is on the disk. A failed write or sync is never tried again on
the same file (after a failed fsync the kernel may call pages clean that never reached the disk):
the file is cut back to where its last good commit ended, and closed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SUFFIX = ".spool"
FILE_MODE = 0o600

SEGMENT_MAX_BYTES = 4 * 1024 * 1024
"""A file that has grown past this is not written to any more: replay holds one in memory."""

# The size is data's metadata, which fdatasync writes, too; macOS has no such call.
_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class Segment:
    """A file that is being written; ``size`` is where the last commit ended."""

    def __init__(self, path: Path) -> None:
        """
        Create it, for this user alone.

        Raises:
            OSError: it cannot be created, or its name not be kept (the folder's fsync).
        """
        self.path = path
        self.size = 0
        self.messages = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._fd = os.open(path, flags, FILE_MODE)
        try:
            sync_folder(path.parent)
        except OSError:
            self.close()
            raise

    @property
    def is_full(self) -> bool:
        """Whether the next commit belongs into another file."""
        return self.size >= SEGMENT_MAX_BYTES

    def commit(self, data: bytes, messages: int, reach_written: Callable[[], None]) -> None:
        """
        Write and sync; ``reach_written`` is called in between.

        Raises:
            OSError: nothing of ``data`` counts. The file is closed and must not be used again.
        """
        try:
            write_all(self._fd, data)
            reach_written()
            _sync(self._fd)
            if os.fstat(self._fd).st_nlink == 0:
                raise FileNotFoundError(errno.ENOENT, "somebody has removed its file")
        except OSError:
            # Where this fails, too, a reader finds records that nobody was answered 2xx for:
            # their senders send again under the same ids.
            with suppress(OSError):
                os.ftruncate(self._fd, self.size)
            self.close()
            raise
        self.size += len(data)
        self.messages += messages

    def close(self) -> None:
        """Write no more; removes the file if nothing was ever committed to it."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        with suppress(OSError):
            os.close(fd)
        if self.size == 0:
            with suppress(OSError):
                self.path.unlink()


def sync_folder(path: Path) -> None:
    """
    Make the names in a folder last through a crash of the machine.

    Raises:
        OSError: it cannot be said that they do.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """All of it: a disk with room for half takes half, and says so only to the next call."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
