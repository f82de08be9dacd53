"""
The one thread that writes: what came while the last batch was being synced is the next batch.

So a message costs its share of an fsync, as an append costs its share of a round trip. A thread
of its own, because a sync holds up whoever asks for it, and the loop must turn.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from structlog.typing import FilteringBoundLogger

from ingest.spool.files import Sealed
from ingest.spool.folder import HeldFolder
from ingest.spool.segment import SEGMENT_MAX_BYTES, SUFFIX, Segment
from shared.errors import SpoolUnavailable
from shared.probe import Point, reach

BATCH_MAX_BYTES = SEGMENT_MAX_BYTES
"""What is more waits for the next sync: a file stays as small as replay wants it."""

log: FilteringBoundLogger = structlog.get_logger()


@dataclass(slots=True)
class _Work:
    """Records to be kept; without any: close the file that is being written."""

    records: bytes
    messages: int
    at: int
    done: asyncio.Future[None]


@dataclass(slots=True)
class _News:
    """What the thread tells the loop, at once for all that shared a sync."""

    done: list[_Work] = field(default_factory=list)
    kept: int = 0
    error: OSError | None = None
    sealed: list[Sealed] = field(default_factory=list)


class SpoolWriter:
    """
    Writes records into files of ``folder``; for use from one event loop.

    A closed file is in the folder's backlog before whoever waited for it goes on.
    """

    def __init__(self, folder: HeldFolder, on_kept: Callable[[int], object]) -> None:
        """``on_kept`` is told how many messages a sync has kept."""
        self.unsealed_messages = 0
        """Messages in the file that is being written."""
        self.unsealed_since: int | None = None
        """When the first of them came (ms since the epoch)."""
        self.last_error: SpoolUnavailable | None = None
        """Why the last batch could not be kept; None: it could."""
        self.failed_s = 0.0
        """When that was (monotonic)."""
        self._folder = folder
        self._on_kept = on_kept
        self._wake = threading.Condition()
        self._queue: list[_Work] = []
        self._stopping = False
        self._segment: Segment | None = None
        self._oldest_at: int | None = None
        self._number = 0
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def write(self, records: bytes, messages: int, at: int) -> asyncio.Future[None]:
        """
        Keep ``records``, all of them or none; done when they are synced.

        They are in the queue when this returns: what is handed over later is written later.
        Whoever is cancelled while waiting leaves them to their fate: they may be kept.

        Raises:
            SpoolUnavailable: (the future, too) they are not kept.
        """
        return self._hand_over(_Work(records, messages, at, self._loop.create_future()))

    def seal(self) -> asyncio.Future[None]:
        """Close the file that is being written, with all that was handed over before."""
        return self._hand_over(_Work(b"", 0, 0, self._loop.create_future()))

    def note_failure(self, error: OSError) -> None:
        """Nothing could be kept now; the first ``write`` tries again."""
        self._note_error(_unavailable(error))

    def stop(self) -> None:
        """Write what was handed over, close the file and end the thread. Blocks for that long."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def _hand_over(self, work: _Work) -> asyncio.Future[None]:
        with self._wake:
            if self._stopping:
                raise SpoolUnavailable("the spool is closed")
            self._queue.append(work)
            if len(self._queue) == 1:  # the thread waits for nothing but an empty queue
                self._wake.notify()
        return work.done

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._stopping:
                    self._wake.wait()
                queue, self._queue = self._queue, []
            if not queue:
                break
            while queue:
                self._tell(self._work_off(queue))
        news = _News()
        self._close_segment(news)
        self._tell(news)

    def _work_off(self, queue: list[_Work]) -> _News:
        """Take from the queue what one sync carries, or one order to close the file."""
        news = _News()
        if not queue[0].records:
            news.done.append(queue.pop(0))
            self._close_segment(news)
            return news
        size = 0
        count = 0
        for work in queue:
            if not work.records or (count and size + len(work.records) > BATCH_MAX_BYTES):
                break
            size += len(work.records)
            count += 1
        news.done = queue[:count]
        del queue[:count]
        self._commit(news)
        return news

    def _commit(self, news: _News) -> None:
        try:
            if self._segment is None:
                self._segment = self._new_segment()
                self._oldest_at = min(work.at for work in news.done)
            data = b"".join(work.records for work in news.done)
            messages = sum(work.messages for work in news.done)
            self._segment.commit(data, messages, lambda: reach(Point.SPOOL))
        except OSError as error:
            news.error = error
            self._close_segment(news)
            return
        news.kept = messages
        if self._segment.is_full:
            self._close_segment(news)

    def _new_segment(self) -> Segment:
        self._number += 1
        path = self._folder.path / f"{self._number:012d}{SUFFIX}"
        with suppress(FileNotFoundError):
            return Segment(path)
        is_removed = self._folder.was_made
        self._folder.make()
        if is_removed:
            log.error("spool.folder_removed", folder=self._folder.path.name)
        return Segment(path)

    def _close_segment(self, news: _News) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        segment.close()
        if segment.size:
            news.sealed.append(
                Sealed(
                    path=segment.path,
                    messages=segment.messages,
                    size_bytes=segment.size,
                    oldest_at=self._oldest_at,
                )
            )

    def _tell(self, news: _News) -> None:
        # The loop may be closed: then nobody waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._hear, news)

    def _hear(self, news: _News) -> None:
        """In the loop: count, then wake whoever waits."""
        if news.kept:
            first = next(work for work in news.done if work.messages)
            self.unsealed_since = self.unsealed_since or first.at
            self.unsealed_messages += news.kept
            self._on_kept(news.kept)
        for sealed in news.sealed:
            self._folder.backlog.append(sealed)
            self.unsealed_messages -= sealed.messages
            self.unsealed_since = None
        if news.done and news.done[0].records:
            self._note_error(None if news.error is None else _unavailable(news.error))
        for work in news.done:
            if work.done.done():
                continue
            if news.error is None:
                work.done.set_result(None)
            else:
                work.done.set_exception(_unavailable(news.error))

    def _note_error(self, error: SpoolUnavailable | None) -> None:
        """One line when writing begins to fail, and one when it works again."""
        if error is not None and self.last_error is None:
            log.error("spool.failed", error=str(error))
        elif error is None and self.last_error is not None:
            log.info("spool.writable")
        self.last_error = error
        self.failed_s = time.monotonic()


def _unavailable(error: OSError) -> SpoolUnavailable:
    unavailable = SpoolUnavailable(f"the spool cannot be written: {error.strerror}")
    unavailable.__cause__ = error
    return unavailable
