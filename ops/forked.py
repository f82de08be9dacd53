"""
A child process that is forked, runs services, and tells by its exit code how it went.

The parent is a small process without threads or an event loop, so that forking is safe.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from ops.signals import Signals
from shared.lifeline import tie_to_this_process

Serve = Callable[[], int]
"""Runs the services until SIGTERM and returns the exit code. It is called in the forked child, with
SIGINT and SIGHUP ignored, and must import what starts threads only then."""


def fork_child(serve: Serve, signals: Signals) -> int:
    """The pid of a child that runs ``serve``; the kernel kills it when this process ends."""
    tie = tie_to_this_process()
    _flush()
    with signals.held_back():
        pid = os.fork()
        if pid == 0:
            _be_child(serve, signals, tie)
        return pid


def _be_child(serve: Serve, signals: Signals, tie: Callable[[], None]) -> NoReturn:
    """Never returns: what the parent has on its stack is not the child's to unwind."""
    code = 1
    try:
        tie()
        signals.hand_over_to_child()
        code = serve()
    except BaseException:  # noqa: BLE001  whatever it is, the parent is told by the exit code
        sys.excepthook(*sys.exc_info())  # by now the log's
    finally:
        logging.shutdown()
        _flush()
        os._exit(code)


def _flush() -> None:
    """What is buffered must not be written twice; a terminal that is gone is no reason to end."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def describe_end(code: int) -> str:
    """An exit code in words; negative: the signal's number, as ``subprocess`` has it."""
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def as_exit_code(code: int) -> int:
    """A death by signal as shells report it."""
    return code if code >= 0 else 128 - code


def orderly_code(code: int) -> int:
    """
    Of a child that was asked to end: a SIGTERM that came before the services could handle it is
    an orderly end.
    """
    return 0 if code == -signal.SIGTERM else as_exit_code(code)
