"""
Threads for functions that block, which the process may leave behind.

``concurrent.futures.ThreadPoolExecutor`` joins its threads when the process ends, so one
function that hangs would keep a drained worker alive for ever. These threads are daemons.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


THREADS_MAX = 64
"""
For one function that blocks. Each is some 50 kB and takes its turn at the interpreter's lock, where
hundreds of them would keep the loop from the leases; a coroutine costs neither.
"""

ABANDONED_MAX = 1000
"""Calls that nobody waits for and that do not end: each keeps a thread, some 50 kB."""


class DaemonThreads:
    """
    At most ``limit`` daemon threads, started when needed and then reused.

    A call that found no free thread waits for one; until then its future can be cancelled. A
    call that runs cannot be stopped. One that was abandoned keeps its thread until it returns but
    does not count against ``limit``, so that calls which hang leave room for others; beyond
    ``ABANDONED_MAX`` of them they count.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._free = 0  # threads without a job, less jobs without a thread
        self._abandoned: set[Future[Any]] = set()
        self._is_closed = False

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """
        Run ``call`` in a thread.

        Raises:
            RuntimeError: closed.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the threads are closed")
            self._free -= 1
            self._start_if_needed()
            self._jobs.put((future, call))
        return future

    def abandon(self, future: Future[Any]) -> bool:
        """Nobody waits for this call any more. False: too many are abandoned, and it counts."""
        with self._lock:
            if not future.running():
                return True
            if len(self._abandoned) >= ABANDONED_MAX:
                return False
            self._abandoned.add(future)
            self._start_if_needed()
        return True

    def close(self) -> None:
        """Cancel the calls that wait, let free threads end. Waits for nothing; idempotent."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        with suppress(Empty):
            while (job := self._jobs.get_nowait()) is not None:
                job[0].cancel()
        for _ in range(self._threads):
            self._jobs.put(None)

    def _start_if_needed(self) -> None:
        if self._free >= 0 or self._threads - len(self._abandoned) >= self._limit:
            return
        name = f"{self._name}-{self._threads}"
        threading.Thread(target=self._work, name=name, daemon=True).start()
        self._threads += 1
        self._free += 1

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, call = job
            if future.set_running_or_notify_cancel():
                _run(future, call)
            with self._lock:
                if future in self._abandoned:
                    self._abandoned.discard(future)
                    self._threads -= 1
                    return  # another thread has taken its place
                self._free += 1
            del future, call, job  # nothing of a window is kept while the thread is idle


def _run(future: Future[T], call: Callable[[], T]) -> None:
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001  the thread lives on; who waits judges it
        future.set_exception(error)
    else:
        future.set_result(result)
    finally:
        del future  # it holds the error, whose traceback holds this frame
