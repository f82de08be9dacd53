"""What was set aside, because Redis or the version of then could not take it, has another try."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from ingest.spool.files import REFUSED
from ingest.spool.folder import HeldFolder, folders_of
from ingest.spool.segment import SUFFIX


def put_back_refused(root: Path, prefix: str) -> None:
    """
    Have it wait for the replay of its folder again, behind all else there, if nobody holds that.

    What cannot be replayed then either is set aside anew. The name is a new one each time: the
    cursor may still say of the one before that it is in Redis.
    """
    for path in folders_of(root, prefix):
        if not (path / REFUSED).exists():
            continue
        if (folder := HeldFolder.adopt(path, path.name, prefix)) is None:
            continue
        behind_all = f"9{time.time_ns():020d}{SUFFIX}"
        with suppress(OSError):
            (path / REFUSED).rename(path / behind_all)
        folder.release()
