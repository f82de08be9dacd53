"""How log lines are written, of whatever library and level, and what befalls them meanwhile."""

from __future__ import annotations

import errno
import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog

from shared.log import configure_logging, hash_users_with
from shared.masking import MASK, UserHash
from tests.support.log_lines import PHONE, only_line, own_logging, start_log


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """The log's stream; logging of the process is put back afterwards."""
    with own_logging():
        yield io.StringIO()


def test_exceptions_come_without_values_of_locals(stream: io.StringIO) -> None:
    """A traceback names places and classes: no locals, and nothing that a stranger's error says."""
    log = start_log(stream)

    def answer(secret_text: str) -> None:
        raise ValueError(f"cannot answer {PHONE}")

    try:
        answer("my private words")
    except ValueError:
        log.exception("handler.failed")

    line = only_line(stream)
    assert line["level"] == "error"
    assert line["exception"].endswith("\nValueError: ***")
    assert "test_log.py" in line["exception"]
    assert "my private words" not in line["exception"].replace('answer("my private words")', "")


def test_libraries_use_the_same_formatter(stream: io.StringIO) -> None:
    """A line of aiohttp or asyncio is masked and shaped like ours."""
    start_log(stream)

    logging.getLogger("aiohttp.server").error("cannot read %s", f"header of {PHONE}")

    line = only_line(stream)
    assert line["event"] == f"cannot read header of {MASK}"
    assert (line["logger"], line["level"]) == ("aiohttp.server", "error")


def test_warnings_use_the_same_formatter(stream: io.StringIO) -> None:
    """A Python warning is a masked line of the log and not text on stderr."""
    start_log(stream)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn(f"odd value {PHONE}", stacklevel=1)
        logging.captureWarnings(capture=False)

    assert PHONE not in stream.getvalue()
    assert only_line(stream)["logger"] == "py.warnings"


def test_a_level_that_is_off_writes_nothing(stream: io.StringIO) -> None:
    """Below the level nothing is written, neither ours nor a library's."""
    log = start_log(stream, "warning")

    log.info("message.accepted", user=PHONE)
    logging.getLogger("asyncio").info("selector")

    assert stream.getvalue() == ""


def test_without_a_terminal_the_format_is_json(stream: io.StringIO) -> None:
    """``format`` None means JSON where nobody looks."""
    start_log(stream, form=None).info("message.accepted", entry="1700000000000-0")

    line = only_line(stream)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line["entry"] == "1700000000000-0"


class FullDisk(io.StringIO):
    """Takes nothing, until there is ``room``."""

    room = False

    def write(self, text: str) -> int:
        """Refused by the system."""
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)

    def flush(self) -> None:
        """The same."""
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_costs_lines_and_nothing_else(stream: io.StringIO) -> None:
    """Neither our lines nor the libraries' raise, and they are written again once there is room."""
    full = FullDisk()
    log = start_log(full)
    log.info("message.accepted")
    logging.getLogger("library").warning("unwritten")
    full.room = True
    log.info("message.accepted", count=2)
    logging.getLogger("library").warning("written")
    events = [json.loads(line)["event"] for line in full.getvalue().splitlines()]
    assert events == ["message.accepted", "written"]


def test_a_stream_that_was_closed_costs_lines_and_nothing_else(stream: io.StringIO) -> None:
    """What still runs at the end of a process may log."""
    log = start_log(stream)
    stream.close()
    log.info("worker.stopped")


def test_users_are_hashed_with_a_key_that_comes_later(stream: io.StringIO) -> None:
    """A service that logs before it has reached Redis agrees with the others from then on."""
    configure_logging("info", "json", stream)
    log = structlog.get_logger()
    log.info("message.spooled", user=PHONE)
    hash_users_with(b"a test's key")
    log.info("message.spooled", user=PHONE)
    hashes = [json.loads(line)["user"] for line in stream.getvalue().splitlines()]
    assert hashes[0] != hashes[1] == UserHash(b"a test's key")(PHONE)


@pytest.mark.parametrize("name", ["openai", "openai._base_client", "httpx2", "httpcore2.http11"])
def test_what_a_model_is_asked_is_not_told(stream: io.StringIO, name: str) -> None:
    """The openai package tells its requests at debug, its HTTP client their URLs at info."""
    start_log(stream, level="debug")

    logging.getLogger(name).debug("options: %s", "hello")
    logging.getLogger(name).info("POST %s", "https://models.example.org/secret-path")

    assert stream.getvalue() == ""
