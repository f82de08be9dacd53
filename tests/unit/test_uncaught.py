"""What nobody catches leaves through the log, in every way in which Python tells of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SECRETS = ("my private words", "5511999990000", "hunter2hunter2")
TELLS = "my private words, 5511999990000, Bearer hunter2hunter2"

SERVICE = """
import asyncio, gc, logging, sys, threading, warnings
from shared.log import configure_logging
from shared.service import run_service
from shared.uncaught import log_uncaught

TELLS = sys.argv[1]

class Careless:
    def __del__(self):
        raise ValueError(TELLS)

async def fail(told):
    raise ValueError(told)

def call_back(told):
    raise ValueError(told)

async def main(stop):
    {what}

configure_logging("debug", "json")
log_uncaught()
run_service(main)
"""

WAYS = {
    "process.failed": "raise ValueError(TELLS)",
    "thread.failed": "t = threading.Thread(target=call_back, args=(TELLS,)); t.start(); t.join()",
    "object.failed": "Careless()",
    "loop.failed": "t = asyncio.create_task(fail(TELLS)); await asyncio.wait([t]); del t",
    "line.failed": "logging.getLogger('library').error('%d messages', TELLS)",
}
CALLBACK = "asyncio.get_running_loop().call_soon(call_back, TELLS); await asyncio.sleep(0.01)"


def run(what: str) -> tuple[str, list[dict[str, str]]]:
    """What a service that does so writes: all of it, and its lines."""
    command = [sys.executable, "-c", SERVICE.format(what=what), TELLS]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.stdout == ""
    return ended.stderr, [json.loads(line) for line in ended.stderr.splitlines()]


@pytest.mark.parametrize("event, what", [*WAYS.items(), ("loop.failed", CALLBACK)])
def test_it_is_one_line_of_the_log_and_tells_nothing(event: str, what: str) -> None:
    """By its event, with where it came from; neither words, numbers nor secrets, in no repr."""
    written, lines = run(what)
    assert [line["event"] for line in lines] == [event]
    assert "Error: ***" in lines[0]["exception"] or event == "line.failed"
    for secret in SECRETS:
        assert secret not in written


def test_a_library_that_warns_is_masked() -> None:
    """A warning is a line of the log as well."""
    written, (line,) = run("warnings.simplefilter('always'); warnings.warn(TELLS)")
    assert line["logger"] == "py.warnings"
    assert "5511999990000" not in written
    assert "hunter2hunter2" not in written


def test_what_asyncio_debugs_tells_no_arguments() -> None:
    """At debug it names callbacks that take long, with what they are called with."""
    written, _ = run(
        "loop = asyncio.get_running_loop(); loop.set_debug(True); loop.slow_callback_duration = 0\n"
        "    loop.call_soon(print, TELLS, end='', file=open('/dev/null', 'w'))\n"
        "    await asyncio.sleep(0.01)"
    )
    assert "5511999990000" not in written
