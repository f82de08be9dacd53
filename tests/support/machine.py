"""How long the machine keeps waiting whoever wants to run, told by a process that does nothing."""

from __future__ import annotations

import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from shared.lifeline import tie_to_this_process
from tests.support.redis_server import ROOT

PAUSE_S = 0.005
END_S = 10.0


class Machine:
    """``worst_s``: how late that process was at most; known after the block."""

    def __init__(self) -> None:
        self.worst_s = 0.0

    def allows_s(self, goal_s: float, turns: int) -> float:
        """
        ``goal_s`` on a quiet machine; else what ``turns`` waits as long as the worst one take.

        ``turns``: how often some process has to come to its turn, one after the other.
        """
        return max(goal_s, turns * self.worst_s)


@contextmanager
def watched_machine() -> Iterator[Machine]:
    """Watches while inside. What we run makes the witness late by using the CPU, and by nothing."""
    machine = Machine()
    witness = subprocess.Popen(
        [sys.executable, "-m", "tests.support.machine"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=tie_to_this_process(),  # noqa: PLW1509  pytest's main thread forks
    )
    assert witness.stdout is not None
    try:
        witness.stdout.readline()
        yield machine
        told, _ = witness.communicate(timeout=END_S)
        machine.worst_s = float(told)
    finally:
        witness.kill()
        witness.communicate()


def main() -> None:
    """Sleep until nobody listens any more, and tell the worst."""
    print("watching", flush=True)  # noqa: T201  told to who watches
    worst_s, ended = 0.0, False
    while not ended:
        due_s = time.monotonic() + PAUSE_S
        ended = bool(select.select([sys.stdin], [], [], PAUSE_S)[0])
        worst_s = max(worst_s, time.monotonic() - due_s)
    print(worst_s)  # noqa: T201


if __name__ == "__main__":
    main()
