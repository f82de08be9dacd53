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


class DaemonThreads:
    """
    At most ``limit`` daemon threads, started when needed and then reused.

    A call that found no free thread waits for one; until then its future can be cancelled. A
    call that runs cannot be stopped: it keeps its thread until it returns.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._free = 0  # threads without a job, less jobs without a thread
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
            if self._free < 0 and self._threads < self._limit:
                self._start_thread()
            self._jobs.put((future, call))
        return future

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

    def _start_thread(self) -> None:
        name = f"{self._name}-{self._threads}"
        threading.Thread(target=self._work, name=name, daemon=True).start()
        self._threads += 1
        self._free += 1

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, call = job
            if future.set_running_or_notify_cancel():
                _run(future, call)
            del future, call, job  # nothing of a window is kept while the thread is idle
            with self._lock:
                self._free += 1


def _run(future: Future[T], call: Callable[[], T]) -> None:
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001  the thread lives on; who waits judges it
        future.set_exception(error)
    else:
        future.set_result(result)
    finally:
        del future  # it holds the error, whose traceback holds this frame
