"""
Handlers (``python:tests.support.poison:<name>``) that fail in every way a function can.

They are cured, and answer, once the file named in the environment is there.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

CURED_FILE = "TEST_CURED_FILE"
"""The environment's name for the file whose being there cures every handler."""

LEFT = 9
"""The exit code of ``leave``."""

BLOCKED_S = 60.0
"""Longer than any test's lease and time limit."""


def _is_cured() -> bool:
    return Path(os.environ[CURED_FILE]).exists()


async def leave(_window: dict[str, Any]) -> str:
    """End the process at once, as a fault in a C library does."""
    if not _is_cured():
        os._exit(LEFT)
    return "cured"


async def be_killed(_window: dict[str, Any]) -> str:
    """Be killed, as by the kernel when memory is short."""
    if not _is_cured():
        os.kill(os.getpid(), signal.SIGKILL)
    return "cured"


async def block(_window: dict[str, Any]) -> str:
    """Block the event loop: nothing else of the process goes on."""
    if not _is_cured():
        time.sleep(BLOCKED_S)  # noqa: ASYNC251  the fault
    return "cured"


def hang(_window: dict[str, Any]) -> str:
    """Never return; in a thread."""
    if not _is_cured():
        threading.Event().wait()
    return "cured"


async def fail(_window: dict[str, Any]) -> str:
    """Raise."""
    if not _is_cured():
        raise RuntimeError("poison")
    return "cured"


async def choke(window: dict[str, Any]) -> str:
    """Fail because of the text's length, saying all of it."""
    if not _is_cured():
        raise ValueError(window["text"])
    return "cured"


HANDLERS = (leave, be_killed, block, hang, fail, choke)
