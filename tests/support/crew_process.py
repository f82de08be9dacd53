"""
``ops.crew.Crew`` in a process of its own, with members that a test chooses.

    python -m tests.support.crew_process <folder> <member>

``CrewProcess`` starts that; each member notes its pid in ``<folder>/<number>.pid``.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Self

import pytest

from ops.crew import Crew
from ops.forked import Serve, fork_child
from ops.signals import Signals
from shared.lifeline import tie_to_this_process
from shared.log import configure_logging
from tests.support.redis_server import ROOT
from tests.support.waiting import wait_until


class CrewProcess:
    """A running crew of two; leaving the block ends it and all that it started."""

    def __init__(self, folder: Path, member: str) -> None:
        self._folder = folder
        self._command = [sys.executable, "-m", "tests.support.crew_process", str(folder), member]
        self.output = ""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=tie_to_this_process(),  # noqa: PLW1509  pytest's main thread forks
        )
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def pid(self, number: int, *, after: int = 0) -> int:
        """Of a member, once it runs; ``after``: of the one that takes the place of that pid."""
        wait_until(lambda: self._noted(number) not in (0, after), f"member {number}")
        return self._noted(number)

    def wait_end(self) -> int:
        """The exit code; ``output`` has everything that was printed."""
        self.output, _ = self.process.communicate(timeout=20.0)
        return self.process.returncode

    def _noted(self, number: int) -> int:
        try:
            return int((self._folder / f"{number}.pid").read_text() or 0)
        except FileNotFoundError:
            return 0


def note(folder: Path, number: int) -> int:
    """Write down who runs; how many have, at this place."""
    with (folder / f"{number}.lives").open("a") as lives:
        lives.write("x")
    new = folder / f"{number}.new"
    new.write_text(str(os.getpid()))
    new.rename(folder / f"{number}.pid")
    return (folder / f"{number}.lives").stat().st_size


def work(folder: Path, number: int) -> int:
    """Run until SIGTERM."""
    ended: list[bool] = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    note(folder, number)
    while not ended:
        time.sleep(0.01)
    return 0


def second_refuses(folder: Path, number: int) -> int:
    """The second never starts."""
    return 2 if number == 1 else work(folder, number)


def refuses_once_later(folder: Path, number: int) -> int:
    """The second refuses its second start, and no other."""
    lives = folder / f"{number}.lives"
    if number == 1 and lives.exists() and lives.stat().st_size == 1:
        note(folder, number)
        return 2
    return work(folder, number)


def none_lives(folder: Path, number: int) -> int:
    """Both die as soon as they are there."""
    note(folder, number)
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def second_is_stubborn(folder: Path, number: int) -> int:
    """The second does not heed SIGTERM."""
    if number == 0:
        return work(folder, number)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(folder, number)
    while True:
        time.sleep(0.01)


def second_ends_badly(folder: Path, number: int) -> int:
    """Asked to end, the second says 3."""
    return work(folder, number) or 3 * number


def no_third_fork(folder: Path, number: int) -> int:
    """Run, though the machine has no room for one more process when the first one died."""
    return work(folder, number)


def refuse_third_fork() -> None:
    """From now on, once."""
    forks = 0

    def fork(serve: Serve, signals: Signals) -> int:
        nonlocal forks
        forks += 1
        if forks == 3:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return fork_child(serve, signals)

    patch = pytest.MonkeyPatch()
    patch.setattr("ops.crew.fork_child", fork)
    patch.setattr("ops.crew.PAUSE_MAX_S", 0.1)


MEMBERS = (
    work,
    second_refuses,
    refuses_once_later,
    none_lives,
    second_is_stubborn,
    second_ends_badly,
    no_third_fork,
)


def main() -> None:
    """Run the crew."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    member = next(one for one in MEMBERS if one.__name__ == name)
    configure_logging("info", "json")
    if member is no_third_fork:
        refuse_third_fork()
    sys.exit(Crew(partial(member, folder), 2).run())


if __name__ == "__main__":
    main()
