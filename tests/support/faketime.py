"""
Processes whose clock is wrong: Debian's ``libfaketime``, preloaded.

The monotonic clock stays true, as it does on a machine whose time is set.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


def require_faketime() -> None:
    """Skip where it is not installed; fail there in CI, whose ``.ci/run`` installs it."""
    if LIBRARY.exists():
        return
    reason = f"{LIBRARY} is missing: apt-get install libfaketime"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def ahead_by(seconds: int) -> dict[str, str]:
    """The environment of a process whose clock is ahead by so much, or behind."""
    return _preloaded() | {"FAKETIME": f"{seconds:+d}s"}


class SteppedClock:
    """A clock that is set while its process runs."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.step_to(0)

    @property
    def env(self) -> dict[str, str]:
        """The environment of a process that has this clock."""
        return _preloaded() | {"FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_NO_CACHE": "1"}

    def step_to(self, seconds: int) -> None:
        """From now on it is ahead of the true time by so much, or behind."""
        whole = self._file.with_suffix(".new")
        whole.write_text(f"{seconds:+d}\n")
        whole.replace(self._file)


def _preloaded() -> dict[str, str]:
    return {"LD_PRELOAD": str(LIBRARY), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
