"""
The files of one folder, read: what waits in them, what they say, what is damaged.

Anybody may read them; only who holds the folder's lock changes them.
"""

from __future__ import annotations

import errno
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ingest.spool.payload import Outcome, Spooled, decode_record, is_outcome
from ingest.spool.record import Record, Scan, scan_records
from ingest.spool.segment import SUFFIX
from shared.errors import EntryUndecodable

CURSOR, REFUSED = "cursor", "refused"
DAMAGED_SUFFIX = ".damaged"


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


def survey_folder(path: Path) -> Iterator[Sealed]:
    """The files of a folder as they stand on the disk, the oldest first, from the cursor on."""
    cursor = read_cursor(path)
    for file in sorted(path.glob(f"*{SUFFIX}")):
        scan = Scan((), 0)
        with suppress(OSError):  # whoever replays it reads it again
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


def scan_file(path: Path, cursor: tuple[str, int] | None = None) -> Scan:
    """
    What stands in a file behind the cursor, if that is the cursor's file; damage anywhere in it.

    Raises:
        OSError: it cannot be read now.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Scan((), 0)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return Scan((), 1)
    scan = scan_records(data)
    start = cursor[1] if cursor is not None and cursor[0] == path.name else 0
    return Scan(tuple(one for one in scan.records if one.end > start), scan.damaged)


def count_kept(path: Path) -> tuple[int, int]:
    """Records that were set aside, and runs of damage in files that were kept for it."""
    damaged = sum(scan_file(file).damaged for file in path.glob(f"*{DAMAGED_SUFFIX}"))
    return len(scan_file(path / REFUSED).records), damaged


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


def cursor_line(file: str, offset: int) -> bytes:
    """What stands in a cursor's file; always as long, so that one write replaces it."""
    text = f"{file} {offset:012d}"
    return f"{text} {zlib.crc32(text.encode()):08x}\n".encode()


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
