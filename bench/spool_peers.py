"""What the spool is measured against: a bare shared sync, its own file and SQLite, in one frame."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from ingest.spool.record import pack_record
from ingest.spool.segment import Segment


class GroupCommit:
    """A thread that commits together what came while the last commit was on its way."""

    def __init__(self, begin: Callable[[], Callable[[list[bytes]], None]]) -> None:
        """``begin`` runs in the thread and gives what commits a batch."""
        self._begin = begin
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._queue: list[tuple[bytes, asyncio.Future[None]]] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    async def put(self, payload: bytes) -> None:
        """Returns when it is committed."""
        done: asyncio.Future[None] = self._loop.create_future()
        with self._wake:
            self._queue.append((payload, done))
            self._wake.notify()
        await done

    def stop(self) -> None:
        """End the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        commit = self._begin()
        while True:
            with self._wake:
                while not self._queue and not self._stopping:
                    self._wake.wait()
                queue, self._queue = self._queue, []
            if not queue:
                return
            commit([payload for payload, _ in queue])
            self._loop.call_soon_threadsafe(_resolve, [done for _, done in queue])


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for done in futures:
        if not done.done():
            done.set_result(None)


def bare_file(path: Path) -> Callable[[], Callable[[list[bytes]], None]]:
    """Bytes behind each other, no format: what a shared sync costs at least."""

    def begin() -> Callable[[list[bytes]], None]:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

        def commit(payloads: list[bytes]) -> None:
            os.write(fd, b"".join(payloads))
            os.fdatasync(fd)

        return commit

    return begin


def segment_file(path: Path) -> Callable[[], Callable[[list[bytes]], None]]:
    """The spool's own file: records with a checksum, a new file when one is full."""

    def begin() -> Callable[[list[bytes]], None]:
        numbers = itertools.count()
        segment = Segment(path.with_suffix(f".{next(numbers)}"))

        def commit(payloads: list[bytes]) -> None:
            nonlocal segment
            if segment.is_full:
                segment.close()
                segment = Segment(path.with_suffix(f".{next(numbers)}"))
            data = b"".join(pack_record(payload) for payload in payloads)
            segment.commit(data, len(payloads), lambda: None)

        return commit

    return begin


def sqlite_file(path: Path) -> Callable[[], Callable[[list[bytes]], None]]:
    """One row per message; a commit is on the disk when it returns (WAL, synchronous=FULL)."""

    def begin() -> Callable[[list[bytes]], None]:
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE spool (id INTEGER PRIMARY KEY, payload BLOB NOT NULL)")

        def commit(payloads: list[bytes]) -> None:
            database.execute("BEGIN")
            rows = [(payload,) for payload in payloads]
            database.executemany("INSERT INTO spool (payload) VALUES (?)", rows)
            database.execute("COMMIT")

        return commit

    return begin
