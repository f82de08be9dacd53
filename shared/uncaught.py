"""
What nobody caught, as lines of the log: Python itself would print it with all that it says.

    process.failed   an exception ends the process
    thread.failed    an exception ended a thread
    object.failed    an exception while something was let go of, which Python can only report
    loop.failed      a task or a callback of the loop failed, and nobody waited for it
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_WORDS = re.compile(r"[A-Za-z ]{1,60}")

log = structlog.get_logger()


def log_uncaught() -> None:
    """From now on, in the whole process; Ctrl-C stays a silent end."""
    sys.excepthook = _process_failed
    threading.excepthook = _thread_failed
    sys.unraisablehook = _object_failed


def log_failures_of(loop: asyncio.AbstractEventLoop) -> None:
    """What asyncio would tell with the repr of tasks and callbacks: arguments and results."""
    loop.set_exception_handler(_loop_failed)


def _process_failed(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    log.error("process.failed", exc_info=error)


def _thread_failed(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        name = args.thread.name if args.thread is not None else None
        log.error("thread.failed", thread=name, exc_info=args.exc_value)


def _object_failed(args: UnraisableHookArgs) -> None:
    log.error("object.failed", what=type(args.object).__name__, exc_info=args.exc_value)


def _loop_failed(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    task = context.get("task") or context.get("future")
    name = task.get_name() if isinstance(task, asyncio.Task) else None
    # "Exception in callback send('...')" goes on with arguments
    found = _WORDS.match(str(context.get("message", "")))
    means = found[0].strip() if found else None
    log.error("loop.failed", means=means, task=name, exc_info=context.get("exception"))
