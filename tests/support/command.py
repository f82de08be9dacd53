"""The command ``inturn`` as a person runs it: in a folder of its own, with Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from shared.lifeline import tie_to_this_process
from tests.support.redis_server import ROOT, free_port
from tests.support.service_process import environment
from tests.support.waiting import eventually

READY_S = 20.0


class UpCommand:
    """
    ``inturn up`` in ``folder``; the block's end kills it and what it started.

    ``redis-server`` is the one under test: ``redis_folder`` goes first on PATH.
    """

    def __init__(self, folder: Path, redis_folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.port, self.consumer_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        ports = {"port": self.port, "consumer_port": self.consumer_port}
        self._env = environment(**{"log_format": "json", **ports, **settings})
        self._env["PATH"] = f"{redis_folder}{os.pathsep}{self._env['PATH']}"
        self._env["PYTHONPATH"] = str(ROOT)
        self._output = folder / f"up-{self.port}.log"

    async def __aenter__(self) -> Self:
        self._spawn()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.wait(10)

    def _spawn(self) -> None:
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ops.cli", "up"],
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
                preexec_fn=tie_to_this_process(),  # noqa: PLW1509  pytest's main thread forks
            )

    @property
    def output(self) -> str:
        """Everything that it has printed so far."""
        return self._output.read_text()

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        return [line for line in self.lines() if line["event"] == name]

    def lines(self) -> list[dict[str, Any]]:
        """The log so far."""
        return [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]

    async def serving(self) -> None:
        """Wait until it says where it listens and its worker owns the partitions."""

        def is_serving() -> bool:
            assert not self.has_ended, self.output
            return "inturn listens on" in self.output and bool(self.events("partitions.owned"))

        await eventually(is_serving, f"services: {self._output}", READY_S)

    def press_ctrl_c(self) -> None:
        """SIGINT to the whole group, as a terminal sends it."""
        os.killpg(self._process.pid, signal.SIGINT)

    async def ended(self, limit_s: float) -> int:
        """The exit code, within ``limit_s``."""
        await eventually(lambda: self.has_ended, f"its end: {self._output}", limit_s)
        return self._process.returncode
