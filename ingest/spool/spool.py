"""The spool of one process: the folder that it writes, and those that it has adopted."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from structlog.typing import FilteringBoundLogger

from ingest.spool.files import Sealed
from ingest.spool.folder import (
    FOLDER_MODE,
    HeldFolder,
    folders_of,
    inherited_files,
    may_be_adopted,
)
from ingest.spool.payload import MessageKey, Outcome, Spooled, encode_outcome, encode_spooled
from ingest.spool.record import pack_record
from ingest.spool.room import Room
from ingest.spool.writer import SpoolWriter
from shared.errors import StartRefused
from shared.metrics import IngestMetrics
from shared.model import Message

FAILURE_COUNTS_S = 5.0

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What passes, and need not keep a process from starting: Redis may be well."""

log: FilteringBoundLogger = structlog.get_logger()


class Spool:
    """
    Keeps messages on the disk, and says what is still to be replayed.

    Made inside a running loop; ``close`` ends its thread. Whatever is not replayed then is
    adopted by the next process.
    """

    def __init__(
        self,
        root: Path,
        prefix: str,
        max_bytes: int,
        metrics: IngestMetrics,
        now_ms: Callable[[], int],
    ) -> None:
        """
        Make ``root`` and a folder of our own in it; what it keeps is for the data of ``prefix``.

        On a full disk the folder is left for the first write to make.

        Raises:
            StartRefused: it cannot be written, and not for want of room.
        """
        self._metrics = metrics
        self._now_ms = now_ms
        self._root = root
        self._prefix = prefix
        self._own, no_room = _make_own(root, prefix)
        self.room = Room(root, max_bytes)
        self.outcomes: dict[MessageKey, Outcome] = {}
        """Messages that are not to be appended, for they were handled while Redis was away."""
        self._writer = SpoolWriter(self._own, metrics.spool_appends_total.inc)
        if no_room is not None:
            self._writer.note_failure(no_room)
        self._adopted: list[HeldFolder] = []
        metrics.spool_messages.set_function(lambda: self.messages)
        metrics.spool_bytes.set_function(lambda: self.room.used_bytes)
        metrics.spool_oldest_seconds.set_function(self._oldest_s)

    @property
    def messages(self) -> int:
        """Messages in our folders that are not in Redis yet."""
        sealed = sum(folder.messages for folder in self._folders())
        return sealed + self._writer.unsealed_messages

    @property
    def problem(self) -> str | None:
        """
        Why it would not take a message now; None: it would, as far as one knows.

        A failed write is forgotten after a while: a load balancer that sends nothing any more
        would else never hear that there is room again.
        """
        if self.room.is_full:
            return "the spool is full"
        error, writer = self._writer.last_error, self._writer
        is_recent = time.monotonic() < writer.failed_s + FAILURE_COUNTS_S
        return str(error) if error is not None and is_recent else None

    async def put(self, messages: Sequence[Message]) -> None:
        """
        Keep all of ``messages``; they are on the disk when it returns.

        Nothing is awaited before they have their place behind what was put earlier.

        Raises:
            SpoolUnavailable: none of them is kept; the sender must send again.
        """
        at = self._now_ms()
        records = b"".join(
            [pack_record(encode_spooled(Spooled(message=message, at=at))) for message in messages]
        )
        try:
            self.room.take(len(records))
            await self._writer.write(records, len(messages), at)
        except Exception:
            self._metrics.spool_failures_total.inc()
            raise

    async def put_outcome(self, outcome: Outcome) -> None:
        """
        Keep what became of a message that was put before; not less is remembered on a failure.

        Raises:
            SpoolUnavailable: it is not kept: after a crash its message is handled again.
        """
        self.outcomes[outcome.key] = outcome
        record = pack_record(encode_outcome(outcome))
        self.room.take(len(record))
        await self._writer.write(record, 0, self._now_ms())

    async def seal(self) -> None:
        """Make everything that was put so far part of ``backlog``."""
        await self._writer.seal()

    async def adopt(self) -> int:
        """
        Take over the folders of processes that are gone; the number of files in them.

        Damage in them is counted and logged here, and stops nothing.
        """
        adopted = await asyncio.to_thread(self._adopt)
        for folder in adopted:
            damaged = sum(sealed.damaged for sealed in folder.backlog)
            log.info("spool.adopted", messages=folder.messages, damaged=damaged)
            self.count_damage(damaged)
            for sealed in folder.backlog:
                self.outcomes.update((outcome.key, outcome) for outcome in sealed.outcomes)
        self._adopted += adopted
        return sum(len(folder.backlog) for folder in adopted)

    def inherited_by_others(self) -> set[Path]:
        """Files of dead processes that another live one is replaying now."""
        return inherited_files(self._root, self._prefix) - self._ours()

    def still_there(self, files: set[Path]) -> set[Path]:
        """Which of these are neither replayed nor ours to replay by now."""
        return {file for file in files if file.exists()} - self._ours()

    def adopted_backlog(self) -> list[tuple[HeldFolder, Sealed]]:
        """What dead processes have left to us, the oldest first."""
        return [(folder, sealed) for folder in self._adopted for sealed in folder.backlog]

    def backlog(self) -> list[tuple[HeldFolder, Sealed]]:
        """All that is to be replayed, in this order: adopted folders, then our own sealed files."""
        return [*self.adopted_backlog(), *((self._own, sealed) for sealed in self._own.backlog)]

    def drop_drained(self) -> None:
        """Let go of adopted folders of which nothing is left to replay."""
        for folder in [one for one in self._adopted if not one.backlog]:
            folder.release()
            self._adopted.remove(folder)

    def count_damage(self, runs: int) -> None:
        """Runs of bytes that could not be read: what stood there is lost, and is said to be."""
        if runs:
            self._metrics.spool_damaged_total.inc(runs)
            log.error("spool.damaged", runs=runs)

    def close(self) -> None:
        """Sync what was put, and let go of all folders; an empty one disappears."""
        self._writer.stop()
        for folder in self._folders():
            folder.release()

    def _ours(self) -> set[Path]:
        return {sealed.path for _, sealed in self.backlog()}

    def _folders(self) -> Iterator[HeldFolder]:
        yield from self._adopted
        yield self._own

    def _adopt(self) -> list[HeldFolder]:
        ours = {folder.path for folder in self._folders()}
        adopted = []
        for path in folders_of(self._root, self._prefix):
            if path in ours or not may_be_adopted(path):
                continue
            folder = HeldFolder.adopt(path, self._own.path.name, self._prefix)
            if folder is None:
                continue
            if folder.backlog:
                adopted.append(folder)
            else:
                folder.release()
        return adopted

    def _oldest_s(self) -> float:
        times = [sealed.oldest_at for _, sealed in self.backlog() if sealed.messages]
        oldest = [at for at in (*times, self._writer.unsealed_since) if at is not None]
        return max(0, self._now_ms() - min(oldest)) / 1000 if oldest else 0.0


def _make_own(root: Path, prefix: str) -> tuple[HeldFolder, OSError | None]:
    """Our folder; and the error if the disk is full, so that it is not there yet."""
    try:
        root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        _hide_from_git(root / ".gitignore")
        return HeldFolder.create(root, prefix), None
    except OSError as error:
        if error.errno in _NO_ROOM:
            return HeldFolder.planned(root, prefix), error
        raise StartRefused(
            [f"INTURN_SPOOL_DIR: cannot write in {root}: {error.strerror}"]
        ) from error


def _hide_from_git(ignore: Path) -> None:
    if ignore.exists():
        return
    try:
        ignore.write_text("*\n")
    except OSError:
        with suppress(OSError):
            ignore.unlink()  # an empty one would hide nothing
        raise


def now_ms() -> int:
    """This machine's clock, which only ages are computed from."""
    return time.time_ns() // 1_000_000
