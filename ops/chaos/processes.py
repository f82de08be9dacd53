"""
The services as processes of their own: ``python -m consumer`` and ``python -m ingest``.

    async with ServiceProcess("consumer", folder, settings) as worker:
        worker.kill()
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from ops.chaos.waiting import eventually
from shared.lifeline import tie_to_this_process

Service = Literal["consumer", "ingest"]

ROOT = Path(__file__).parents[2]
"""Where the packages lie: a checkout, or the folder that they are installed in."""

START_S = 60.0
"""Importing takes a second of a busy machine, and many may start at once: this judges nothing."""

OWNED_S = 20.0


def free_port() -> int:
    """
    A loopback port for a server that is about to start: nobody else gets it while we live.

    A socket of ours stays bound to it and does not listen, so that the system gives the port to
    nobody who asks for any. Servers set SO_REUSEADDR, and may listen there all the same.
    """
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port: int = holder.getsockname()[1]
    holder.detach()  # open until the process ends
    return port


def environment(**settings: Any) -> dict[str, str]:
    """This process's environment with these settings of inturn and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INTURN_")}
    return kept | {f"INTURN_{name.upper()}": str(value) for name, value in settings.items()}


class ServiceProcess:
    """
    One service on a free port, ready inside the block; the block's end kills it.

    ``command`` runs it through a program of the caller's own (after ``python``); ``env`` is added
    to the environment. Its working directory is ``folder``, where its log is, too.
    """

    def __init__(
        self,
        service: Service,
        folder: Path,
        settings: Mapping[str, Any],
        *,
        name: str = "",
        command: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.service = service
        self.name = name or service
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{self.name}-{self.port}.log"
        self._folder = folder
        self._command = command or ("-m", service)
        port_name = "port" if service == "ingest" else "consumer_port"
        settings = {"spool_dir": folder / "spool", **settings, port_name: self.port}
        self._env = environment(log_format="json", **settings)
        self._env |= {"PYTHONPATH": str(ROOT), **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process, also when it has ended."""
        assert self._process is not None
        return self._process.pid

    @property
    def worker_id(self) -> str:
        """What a consumer calls itself, from its log; empty until it has said so."""
        for line in reversed(self.log.read_text(errors="replace").splitlines()):
            if '"worker.started"' in line:
                return str(json.loads(line)["worker"])
        return ""

    def is_running(self) -> bool:
        """Whether it has not ended (a stopped one has not)."""
        return self._process is not None and self._process.poll() is None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.kill()

    async def start(self) -> None:
        """Start it (again) and wait until it is ready."""
        self.spawn()
        await self.ready()

    async def ready(self) -> None:
        """Wait until it is ready."""
        await eventually(self._is_ready, f"a ready {self.name}: {self.log}", START_S)

    def spawn(self) -> None:
        """Start it (again) and do not wait."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._command],
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=tie_to_this_process(),  # noqa: PLW1509  the main thread forks
            )

    def kill(self) -> None:
        """SIGKILL, and reap it; nothing if it was never started."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def pause(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    async def ended(self, limit_s: float = 15.0) -> int:
        """Wait for its end; the exit code, negative if a signal ended it."""
        process = self._process
        assert process is not None
        await eventually(lambda: process.poll() is not None, f"the end of {self.log}", limit_s)
        return process.returncode

    async def stop(self, limit_s: float = 15.0) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return await self.ended(limit_s)

    async def metrics(self) -> str:
        """The page of its metrics."""
        timeout = aiohttp.ClientTimeout(total=5)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{self.url}/metrics") as answer,
        ):
            return await answer.text()

    async def metric(self, name: str, **labels: str) -> float:
        """The value of ``inturn_<name>``, summed over the labels that are not given."""
        total = 0.0
        for family in text_string_to_metric_families(await self.metrics()):
            for sample in family.samples:
                given = labels.items() <= sample.labels.items()
                if sample.name == f"inturn_{name}" and given:
                    total += sample.value
        return total

    async def owns(self, count: int) -> None:
        """Wait until this worker owns ``count`` partitions."""

        async def is_so() -> bool:
            return await self.metric("owned_partitions") == count

        await eventually(is_so, f"{count} partitions of {self.log}", OWNED_S)

    def open_files(self) -> int:
        """How many files, sockets included, it has open; 0 where the kernel does not tell."""
        try:
            return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())
        except OSError:
            return 0

    async def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"it ended: {self.log.read_text()[-2000:]}"
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
                session.get(f"{self.url}/readyz") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            await asyncio.sleep(0.05)
            return False
