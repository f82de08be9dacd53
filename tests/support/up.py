"""
``inturn up``'s parent in a process of its own, with services that a test chooses.

    python -m tests.support.up <folder> <services>

``UpProcess`` starts that and waits for what it notes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from ops.supervise import supervise
from shared.errors import StartRefused
from shared.home import Running, find_running, note_services
from shared.lifeline import tie_to_this_process
from tests.support.redis_server import ROOT
from tests.support.waiting import wait_until


class UpProcess:
    """A running ``up``; leaving the block ends it and all that it started."""

    def __init__(
        self, folder: Path, services: str = "idle", *, env: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.services = services
        self._env = {**os.environ, **(env or {})}
        self.output = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.up", str(self.folder), self.services]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=tie_to_this_process(),  # noqa: PLW1509  pytest's main thread forks
        )
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def wait_serving(self) -> Running:
        """Until the services of this ``up`` have noted that they listen; what they noted."""
        wait_until(lambda: self._is_serving() or self.process.poll() is not None, "its services")
        running = self._serving()
        assert running is not None, self.process.communicate()[0]
        return running

    def wait_noted(self) -> Running:
        """Until any ``up`` of the folder serves; what it noted."""
        wait_until(self._serving, "services of whichever started first")
        running = self._serving()
        assert running is not None
        return running

    def services_pid(self) -> int:
        """Of the services that were started last."""
        return int((self.folder / "services.pid").read_text())

    def send(self, signum: signal.Signals) -> None:
        """To ``up`` alone, not to its group."""
        self.process.send_signal(signum)

    def wait_end(self, limit_s: float = 10.0) -> int:
        """The exit code; ``output`` has everything that was printed."""
        self.output, _ = self.process.communicate(timeout=limit_s)
        return self.process.returncode

    def _is_serving(self) -> bool:
        running = self._serving()
        return running is not None and running.up_pid == self.process.pid

    def _serving(self) -> Running | None:
        running = find_running(self.folder)
        return running if running is not None and running.port is not None else None


def idle(folder: Path) -> int:
    """Run until SIGTERM, as services with nothing to do."""
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    (folder / "services.pid").write_text(str(os.getpid()))
    (folder / "services.url").write_text(os.environ.get("INTURN_REDIS_URL", ""))
    note_services(folder, port=8420, consumer_port=8421)
    while not ended:
        time.sleep(0.01)
    return 0


def drain(folder: Path) -> int:
    """Like ``idle``, then look whether Redis still answers while the services end."""
    from shared.embedded import is_answering

    code = idle(folder)
    running = find_running(folder)
    assert running is not None
    assert running.redis_socket is not None
    return code if is_answering(running.redis_socket) else 7


def crash_once(folder: Path) -> int:
    """Die at the first start, run at the second."""
    marker = folder / "crashed"
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return idle(folder)


def crash(_folder: Path) -> int:
    """Die at every start."""
    raise RuntimeError("the services are broken")


def stubborn(folder: Path) -> int:
    """Take no notice of SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (folder / "services.pid").write_text(str(os.getpid()))
    note_services(folder, port=8420, consumer_port=8421)
    while True:
        signal.pause()


def refuse(_folder: Path) -> int:
    """Refuse to start, as for a wrong setting."""
    return 2


SERVICES: dict[str, Callable[[Path], int]] = {
    service.__name__: service for service in (idle, drain, stubborn, crash_once, crash, refuse)
}


def main() -> int:
    """What ``inturn up`` does with the outcome."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    try:
        return supervise(
            lambda: SERVICES[name](folder),
            folder=folder,
            redis_url=os.environ.get("INTURN_REDIS_URL"),
            say=lambda text: print(text, flush=True),  # noqa: T201  the test reads it
        )
    except StartRefused as error:
        print(error)  # noqa: T201  the test reads it
        return 2


if __name__ == "__main__":
    sys.exit(main())
