"""
Signals for a process without an event loop: they are read, with a timeout, like a file; and what
Ctrl-C means to a command that has nothing to put in order yet.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks ``up`` to end; SIGHUP is a closed terminal."""


def end_at_once() -> None:
    """
    From now on Ctrl-C ends the process, as it does one that was never told of it.

    A command imports for up to a second. There KeyboardInterrupt is a traceback from somebody
    else's module, and has crashed one that was written in C. Who ignored SIGINT still does.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def told_of_ctrl_c() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt in the block, so that it can put things in order."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Signals:
    """
    SIGCHLD and those of ``ENDING``, read in the order of their arrival; main thread only.

    A SIGHUP that was ignored at the start stays ignored: ``nohup`` asked for that.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        self._before_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._watched = {signal.SIGCHLD, *ENDING}
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            self._watched.remove(signal.SIGHUP)
        self._before = {signum: signal.signal(signum, _note) for signum in self._watched}

    def wait(self, limit_s: float | None) -> list[int]:
        """What has arrived; blocks until something does, or for ``limit_s``."""
        select.select([self._reader], [], [], limit_s)
        try:
            return list(os.read(self._reader, 4096))
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Everything as it was before."""
        signal.set_wakeup_fd(self._before_wakeup)
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        os.close(self._reader)
        os.close(self._writer)

    @contextlib.contextmanager
    def held_back(self) -> Iterator[None]:
        """Around a fork: what arrives meanwhile waits until each side is set up for it."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self._watched)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def hand_over_to_child(self) -> None:
        """
        Called in the forked child, within ``held_back``, and ends that: only SIGTERM ends it.

        Ctrl-C and a closed terminal reach the whole process group; the parent passes them on as
        SIGTERM, and twice would be an order to hurry.
        """
        signal.set_wakeup_fd(-1)
        for signum in self._watched:
            signal.signal(signum, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.close(self._reader)
        os.close(self._writer)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._watched)


def _note(_signum: int, _frame: FrameType | None) -> None:
    """The wakeup pipe has it already."""
