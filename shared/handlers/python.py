"""
``python:module:function``: a function of the user's own, in this process.

It is called with a ``shared.Window``, and gives back one of:

    None                             silence
    a str, or a list of them         the reply's texts, read as a model's: see ``reply_fields``
    a dict                           as a JSON answer: its reply field
    a ``shared.Reply``               its texts are sent as they are
    another Result of ``shared.model``   itself

Raising ``shared.RetryLater`` or ``shared.Reject`` does what they say; any other exception is an
attempt that failed.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
from msgspec.structs import replace

from shared.errors import Reject, RetryLater, describe_error
from shared.handlers import Call
from shared.handlers.handover import MUTE_MAX_MS
from shared.handlers.replies import read_json, read_text, reply_of
from shared.handlers.request import Window, window_of
from shared.handlers.threads import ABANDONED_MAX, DaemonThreads
from shared.model import Rejected, Reply, Result, Retry, Silence, Unavailable

Function = Callable[[Window], Any]

ERROR_MAX_CHARS = 500
AFTER_MAX_S = 10**9
"""Far above ``RETRY_MAX_MS``, which bounds every delay: an infinite one is this."""

log = structlog.get_logger()

# A handler's ``sys.exit`` fails its attempt; it must not end the worker and others' windows.
_FAILURES = (Exception, SystemExit)


class PythonHandler:
    """
    Calls ``function``; one that is not a coroutine function runs in a thread and may block.

    Cancelling a call (time limit, shutdown) cancels a coroutine. A thread cannot be stopped: its
    call runs to its end, and its result is dropped. Others get a thread in its place, up to
    ``ABANDONED_MAX``: give what a function waits on a timeout.

    ``threads``: how many calls have one at once; None: it needs none. The caller makes no more
    calls than these at a time, for the others would wait with their time running.
    """

    in_process = True
    remembers = False

    def __init__(self, function: Function, *, threads: int) -> None:
        self._function = function
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004  an object with async __call__
        )
        self.threads = None if self._is_async else threads
        self._threads = DaemonThreads(threads, "inturn-handler")

    @classmethod
    def load(cls, reference: str, *, threads: int) -> PythonHandler:
        """
        Import ``module:function``; the working directory is searched first.

        Raises:
            ValueError: it cannot be imported, or is nothing to call.
        """
        return cls(import_function(reference), threads=threads)

    async def answer(self, call: Call) -> Result:
        """Call the function once, with a copy of the window that is its own to change."""
        window = window_of(call)
        try:
            if self._is_async:
                answer = await self._function(window)
            else:
                answer = await self._call_in_thread(window)
        except _FAILURES as error:
            return judge_exception(error)
        except asyncio.CancelledError as error:
            if _is_being_cancelled():
                raise
            # Nobody cancelled this call: the function let a cancellation of its own out.
            return judge_exception(error)
        return judge_answer(answer)

    async def close(self) -> None:
        """Let idle threads end. Does not wait for calls that still run in one."""
        self._threads.close()

    async def _call_in_thread(self, window: Window) -> Any:
        context = contextvars.copy_context()

        def call() -> tuple[Any, Exception | SystemExit | None]:
            # As a value: asyncio cannot carry every exception (StopIteration) to the caller.
            try:
                return context.run(self._function, window), None
            except _FAILURES as error:
                return None, error

        future = self._threads.submit(call)
        try:
            answer, error = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if not self._threads.abandon(future):
                log.warning("handler.threads_hang", abandoned=ABANDONED_MAX)
            raise
        if error is not None:
            return judge_exception(error)
        # A plain function may wrap a coroutine function.
        return await answer if inspect.isawaitable(answer) else answer


def judge_answer(answer: Any) -> Result:
    """What a function's return value means; a value of any other type failed the attempt."""
    match answer:
        case None:
            return Silence(reason="returned None")
        case str():
            return read_text(answer)
        case Reply() | Silence():
            return _checked(answer)
        case Retry() | Unavailable() | Rejected():
            return _sound(answer)
        case Mapping():
            return read_json(answer)
        case list() | tuple():
            return read_json({"replies": answer})
        case _:
            kind = type(answer).__name__
            return Retry(error=f"the function returned {kind}, which is no answer")


def judge_exception(error: BaseException) -> Result:
    """What an exception that left the function means. The message is the function's own."""
    message = describe_error(error)[:ERROR_MAX_CHARS]
    if isinstance(error, Reject):
        return Rejected(error=message)
    if isinstance(error, RetryLater):
        return _later(error, message)
    return Retry(error=message)


def _later(error: RetryLater, message: str) -> Result:
    after_s: Any = error.after_s
    if after_s is None:
        return _sound(Retry(error=message, after_ms=error.after_ms))
    if type(after_s) not in (int, float) or after_s != after_s:  # noqa: PLR0124  not a number
        return Retry(error=f"after_s is no number of seconds: {message}")
    return Retry(error=message, after_ms=math.ceil(min(max(after_s, 0), AFTER_MAX_S) * 1000))


def _sound(result: Retry | Unavailable | Rejected) -> Result:
    """A result of the function's own making, if its fields are what they should be."""
    after_ms = None if isinstance(result, Rejected) else result.after_ms
    if type(result.error) is not str:
        return Retry(error=f"the function's error is {type(result.error).__name__}, not a text")
    if after_ms is not None and type(after_ms) is not int:
        return Retry(error=f"after_ms is {type(after_ms).__name__}, not int: {result.error}")
    return result


def import_function(reference: str) -> Function:
    """
    The callable that ``module:function`` names; ``function`` may have dots.

    ``module.function`` without a colon is the last dot's.

    Puts the working directory first in ``sys.path``, where ``python -m`` has it, too.

    Raises:
        ValueError: with what is wrong, in words for the person who wrote the setting.
    """
    parts = reference.partition(":") if ":" in reference else reference.rpartition(".")
    module_name, _, path = parts
    if not module_name or not path:
        raise ValueError(f"python:{reference} does not have the form python:module:function")
    here = str(Path.cwd())
    if not {"", here} & set(sys.path):
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except _FAILURES as error:
        detail = f"{type(error).__name__}: {error}"
        if isinstance(error, ModuleNotFoundError) and error.name == module_name.partition(".")[0]:
            detail += f"; is {error.name}.py in {here}, where inturn was started?"
        raise ValueError(f"cannot import module {module_name}: {detail}") from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise ValueError(f"module {module_name} has no {path}")
        found = getattr(found, name)
    if callable(found) and _takes_one(found):
        function: Function = found
        return function
    problem = "must take one argument, the window" if callable(found) else "is not a function"
    raise ValueError(f"{path} of module {module_name} {problem}")


def _takes_one(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(Window())
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature: the first call will tell
        return True
    return True


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _checked(answer: Reply | Silence) -> Result:
    """An answer of the function's own making, if its fields are what they should be."""
    mute_ms = answer.mute_ms
    if type(mute_ms) is not int:
        return Retry(error=f"mute_ms is {type(mute_ms).__name__}, not int")
    kept = answer if isinstance(answer, Silence) else _as_it_is(answer)
    if isinstance(kept, Retry):
        return kept
    return replace(kept, mute_ms=min(max(mute_ms, kept.mute_ms, 0), MUTE_MAX_MS))


def _as_it_is(reply: Reply) -> Reply | Silence | Retry:
    """A reply's texts unread, if they are texts."""
    texts, metadata = reply.texts, reply.metadata
    if isinstance(texts, str):
        texts = (texts,)
    if not isinstance(texts, list | tuple):
        return Retry(error=f"replies must be a list of texts, not {type(texts).__name__}")
    for text in texts:
        if not isinstance(text, str):
            return Retry(error=f"replies must hold texts only, not {type(text).__name__}")
    if not isinstance(metadata, dict):
        return Retry(error=f"metadata must be a dict, not {type(metadata).__name__}")
    return reply_of(texts, metadata)
