"""What a process logs, in a test that sets up logging as a service does."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from shared.log import configure_logging

PHONE = "5511999990000"


@contextmanager
def own_logging() -> Iterator[None]:
    """Logging of the process is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def start_log(stream: io.StringIO, level: Any = "info", form: Any = "json") -> Any:
    """A logger that writes to ``stream``."""
    configure_logging(level, form, stream, user_key=b"a test's key", cache_loggers=False)
    return structlog.get_logger()


def only_line(stream: io.StringIO) -> dict[str, Any]:
    """The one JSON line that was written."""
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1, lines
    line = json.loads(lines[0])
    assert isinstance(line, dict)
    return line
