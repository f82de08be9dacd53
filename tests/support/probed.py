"""
A service whose named points are armed: ``python -m tests.support.probed consumer``.

``TEST_PROBE`` (``start:kill:3``: the third pass of the point ``start`` kills the process; ``stop``
stops it) arms from the start; the file that ``TEST_PROBE_FILE`` names does so whenever it
appears, and is removed when its time has come.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections import Counter
from pathlib import Path

from shared import probe
from shared.probe import Point

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class Arm:
    """Counts the passes of a point since it was armed."""

    def __init__(self, given: str, path: Path | None) -> None:
        self._given = given
        self._path = path
        self._passes: Counter[str] = Counter()

    def __call__(self, point: Point) -> None:
        """A pass; the process may not outlive it."""
        wanted = self._given or self._from_file()
        if not wanted:
            return
        name, action, count = wanted.split(":")
        if name != point:
            return
        self._passes[wanted] += 1
        if self._passes[wanted] < int(count):
            return
        self._given = ""
        self._passes.clear()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        os.kill(os.getpid(), _SIGNALS[action])

    def _from_file(self) -> str:
        try:
            return self._path.read_text() if self._path is not None else ""
        except FileNotFoundError:
            return ""


def main() -> int:
    """Arm, and run the service that is named."""
    path = os.environ.get("TEST_PROBE_FILE")
    probe.install(Arm(os.environ.get("TEST_PROBE", ""), Path(path) if path else None))
    module = importlib.import_module(f"{sys.argv[1]}.service")
    code: int = module.main()
    return code


if __name__ == "__main__":
    sys.exit(main())
