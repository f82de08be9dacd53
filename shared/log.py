"""
Logs: one line per event, for people on a terminal and JSON elsewhere.

Events are named ``<noun>.<past verb>`` (``message.accepted``, ``window.opened``) and their facts
are keyword arguments under the dataclasses' names. Pass ``user=`` as it is: the formatter replaces
it by a keyed hash, and masks secrets, texts and phone numbers (``shared.masking``). A call whose
level is off costs half a microsecond and looks at none of its arguments.

    log = structlog.get_logger()
    log.info("message.accepted", entry=entry_id, instance=instance, user=user)
"""

from __future__ import annotations

import json
import logging
import secrets
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import Processor
from typing_extensions import override

from shared.masking import Masking
from shared.tracebacks import tell_traceback

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["console", "json"]

_masking: Masking | None = None

log = structlog.get_logger()


def configure_logging(
    level: Level = "info",
    format: Format | None = None,  # noqa: A002 - the setting is called LOG_FORMAT
    stream: TextIO | None = None,
    *,
    user_key: bytes | None = None,
    cache_loggers: bool = True,
) -> None:
    """
    Set up structlog and the standard library's logging for the whole process.

    Only ``__main__`` and the command line call it, once, before the first line: a logger that has
    logged keeps its level and stream, unless ``cache_loggers`` is off, as in tests. ``format``
    None: console on a terminal, else JSON. ``user_key`` None: hashes of users are
    comparable only inside this process.
    """
    stream = sys.stderr if stream is None else stream
    if format is None:
        format = "console" if stream.isatty() else "json"  # noqa: A001 - the same
    masking = Masking(secrets.token_bytes(32) if user_key is None else user_key)
    global _masking  # noqa: PLW0603  there is one log in a process
    _masking = masking
    chain: list[Processor] = [_render_exception, masking, *_rendering(format, stream)]
    number = logging.getLevelNamesMapping()[level.upper()]
    kept = _Unfailing(stream)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _add_level, *chain],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", kept)),
        cache_logger_on_first_use=cache_loggers,
    )
    _route_standard_logging(number, kept, chain)


class _Unfailing:
    """
    A stream whose lines are lost where they cannot be written, and nobody hears of it.

    A full disk under the log, or a reader that has gone, is no reason to refuse a message.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """``text``, or nothing."""
        with suppress(OSError, ValueError):  # ValueError: it was closed
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        """What can be flushed."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def hash_users_with(user_key: bytes) -> None:
    """
    From now on users are hashed as in every process with this key, also in lines of loggers that
    have logged before.
    """
    if _masking is not None:
        _masking.hash_users_with(user_key)


_TELLTALES = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")
"""The openai package and the HTTP client under it tell URLs at info, texts and headers at debug."""


class _Routed(logging.StreamHandler[_Unfailing]):
    """A line that cannot be made is told of by its place: Python would print its arguments."""

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        place = f"{record.filename}:{record.lineno}" if hasattr(record, "filename") else None
        log.error("line.failed", logger=record.name, place=place, exc_info=True)  # noqa: LOG014  it is called in one


def _route_standard_logging(number: int, stream: _Unfailing, chain: list[Processor]) -> None:
    """Libraries (aiohttp, asyncio, redis) and warnings leave through the same formatter."""
    handler = _Routed(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_add_level, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *chain],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name in _TELLTALES:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.captureWarnings(capture=True)


def _rendering(format: Format, stream: TextIO) -> list[Processor]:  # noqa: A002 - the same
    if format == "json":
        return [structlog.processors.TimeStamper(fmt="iso", utc=True), _render_json]
    return [
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(),
            sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,
            pad_event_to=18,
        ),
    ]


def _add_level(_logger: Any, method: str, line: MutableMapping[str, Any]) -> Any:
    # `exception` is a way to log, not a level.
    return {"level": "error" if method == "exception" else method, **line}


def _render_json(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> str:
    first = {name: line.pop(name) for name in ("timestamp", "level", "event") if name in line}
    return json.dumps({**first, **line}, ensure_ascii=False, separators=(",", ":"))


def _render_exception(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> Any:
    """A traceback of places and lines of code: neither values of locals nor a stranger's words."""
    info = line.pop("exc_info", None)
    line.pop("stack_info", None)
    if not info:
        return line
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        line["exception"] = tell_traceback(error)
    return line
