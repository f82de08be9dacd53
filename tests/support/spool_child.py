"""
The policy ``spool`` in a process that kills itself at a named point.

    python -m tests.support.spool_child <url> <prefix> <folder> <point> <pass>

It keeps one message per number on its stdin, and says the number once it is kept.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from shared import probe
from shared.keys import Keys
from shared.lifeline import tie_to_this_process
from shared.log import configure_logging
from shared.probe import Point
from tests.support.redis_server import ROOT
from tests.support.spooling import spooling


class SpoolChild:
    """That process, inside the block; ``kept`` are the numbers that it has said."""

    def __init__(self, url: str, prefix: str, folder: Path, point: Point, passes: int) -> None:
        arguments = (url, prefix, str(folder), point.value, str(passes))
        self._command = [sys.executable, "-m", "tests.support.spool_child", *arguments]
        self.kept: list[int] = []

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=tie_to_this_process(),  # noqa: PLW1509  pytest's main thread forks
        )
        assert self._line() == "ready"
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def send(self, number: int) -> bool:
        """One message after the answer to the one before; whether it was kept."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{number}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return False
        if self._line() != str(number):
            return False
        self.kept.append(number)
        return True

    def wait_killed(self) -> None:
        """It has killed itself."""
        assert self.process.wait(20) == -signal.SIGKILL

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


async def keep_numbers(url: str, prefix: str, folder: Path) -> None:
    """Until stdin ends."""
    async with spooling(url, Keys(prefix, 1), folder) as made:
        print("ready", flush=True)  # noqa: T201
        while line := await asyncio.to_thread(sys.stdin.readline):
            await made.send(int(line))
            print(int(line), flush=True)  # noqa: T201


def main() -> None:
    """Arm the point and keep numbers."""
    configure_logging()
    url, prefix, folder, name, passes = sys.argv[1:]
    left = int(passes)

    def count(point: Point) -> None:
        nonlocal left
        left -= point == name
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    probe.install(count)
    asyncio.run(keep_numbers(url, prefix, Path(folder)))


if __name__ == "__main__":
    main()
