"""What waits in a machine's spool, by folder: for a person who asks whether it is safe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ingest.spool.files import count_kept, survey_folder
from ingest.spool.folder import folders_of, holder_of
from ingest.spool.spool import now_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStatus:
    """
    One process's folder. ``held_by``: the pid of who works on it, None: nobody, so it waits.

    ``damaged``: runs of bytes that cannot be read. ``refused``: messages that Redis refused for
    their own sake.
    """

    folder: str
    held_by: int | None
    messages: int
    size_bytes: int
    oldest_s: int | None
    damaged: int
    refused: int


def look(root: Path, prefix: str) -> list[FolderStatus]:
    """The folders of these data as they stand on the disk, read whole; takes nothing over."""
    return [_look_into(path) for path in folders_of(root, prefix)]


def _look_into(path: Path) -> FolderStatus:
    files = list(survey_folder(path))
    held_by = holder_of(path)
    # What is written this moment ends in the middle of a record, and is not damaged.
    torn = sum(sealed.damaged for sealed in files) if held_by is None else 0
    times = [sealed.oldest_at for sealed in files if sealed.oldest_at is not None]
    refused, damaged = count_kept(path)
    return FolderStatus(
        folder=path.name,
        held_by=held_by,
        messages=sum(sealed.messages for sealed in files),
        size_bytes=sum(sealed.size_bytes for sealed in files),
        oldest_s=max(0, now_ms() - min(times)) // 1000 if times else None,
        damaged=damaged + torn,
        refused=refused,
    )
