"""
Erasing from the spool's files what they hold of somebody who is forgotten.

In place: a record is overwritten with one that is just as long and says nothing. So no file changes
its size or its name, a cursor stays right, and it makes no difference who reads or appends at the
same time. What a crash cuts off in the middle is a damaged record that holds less than before; it
is counted like any other. Erasing again finds nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from ingest.spool.files import DAMAGED_SUFFIX, REFUSED
from ingest.spool.folder import folders_of
from ingest.spool.payload import Named, erased, named_in
from ingest.spool.record import HEADER_BYTES, pack_record, scan_records
from ingest.spool.segment import SUFFIX

IsDue = Callable[[Named], bool]
"""Whether what is named so is to be forgotten."""


def erase(root: Path, prefix: str, is_due: IsDue) -> int:
    """
    Overwrite what is due in every folder under ``root``, whoever works on it; how many records.

    Also what was set aside for a person, and files that are kept for their damage; but what is
    damaged itself says nothing of whose it is.

    Raises:
        OSError: not all is overwritten; call again.
    """
    folders = folders_of(root, prefix)
    return sum(_erase_in(file, is_due) for folder in folders for file in _files_in(folder))


def _files_in(folder: Path) -> Iterable[Path]:
    for pattern in (f"*{SUFFIX}", f"*{DAMAGED_SUFFIX}", REFUSED):
        yield from folder.glob(pattern)


def _erase_in(file: Path, is_due: IsDue) -> int:
    count = 0
    with suppress(FileNotFoundError):  # replayed meanwhile
        for record in scan_records(file.read_bytes()).records:
            named = named_in(record.payload)
            if named is not None and is_due(named):
                size = len(record.payload)
                _overwrite(file, record.end - size - HEADER_BYTES, pack_record(erased(size)))
                count += 1
    return count


def _overwrite(file: Path, at: int, record: bytes) -> None:
    fd = os.open(file, os.O_WRONLY)
    try:
        os.pwrite(fd, record, at)
        os.fsync(fd)
    finally:
        os.close(fd)
