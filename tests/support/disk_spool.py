"""A process's spool on the disk, without Redis, and what it holds."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.spool.spool import Spool
from shared.metrics import IngestMetrics, InstanceLabels
from tests.support.spooling import spooled_in

PREFIX = "p"


def open_spool(root: Path, max_bytes: int = 1 << 30, prefix: str = PREFIX) -> Spool:
    """A process's spool."""
    return Spool(root, prefix, max_bytes, IngestMetrics(InstanceLabels(1)), lambda: 1)


def numbers(spool: Spool) -> list[int]:
    """The messages that are to be replayed."""
    return [
        spooled_in(record.payload).message.received_at
        for folder, sealed in spool.backlog()
        for record in folder.read(sealed).records
    ]


@contextmanager
def files_limited_to(size_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond; the kernel says EFBIG, as a full disk ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
