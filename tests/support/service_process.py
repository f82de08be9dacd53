"""
The services as processes of their own: ``python -m consumer`` and ``python -m ingest``.

    async with ServiceProcess("consumer", folder, settings) as worker:
        worker.kill()
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from shared.lifeline import tie_to_this_process
from tests.support.redis_server import ROOT, free_port
from tests.support.waiting import eventually

Service = Literal["consumer", "ingest"]

START_S = 20.0
"""Importing alone takes a second of a busy machine."""


def environment(**settings: Any) -> dict[str, str]:
    """This process's environment with these settings of inturn and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INTURN_")}
    return kept | {f"INTURN_{name.upper()}": str(value) for name, value in settings.items()}


class ServiceProcess:
    """One service on a free port, ready inside the block; the block's end kills it."""

    def __init__(self, service: Service, folder: Path, settings: Mapping[str, Any]) -> None:
        self.service = service
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{service}-{self.port}.log"
        port_name = "port" if service == "ingest" else "consumer_port"
        settings = {"spool_dir": folder / "spool", **settings, port_name: self.port}
        self._env = environment(log_format="json", **settings)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process, also when it has ended."""
        assert self._process is not None
        return self._process.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.kill()

    async def start(self) -> None:
        """Start it (again) and wait until it is ready."""
        self._spawn()
        await eventually(self._is_ready, f"a ready {self.service}: {self.log}", START_S)

    def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.service],
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=tie_to_this_process(),  # noqa: PLW1509  pytest's main thread forks
            )

    def kill(self) -> None:
        """SIGKILL, and reap it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def pause(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    async def stop(self, limit_s: float = 15.0) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        process = self._process
        process.terminate()
        await eventually(lambda: process.poll() is not None, f"the end of {self.log}", limit_s)
        return process.returncode

    async def metric(self, name: str, **labels: str) -> float:
        """The value of ``inturn_<name>``, summed over the labels that are not given."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/metrics") as answer:
            text = await answer.text()
        total = 0.0
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                given = labels.items() <= sample.labels.items()
                if sample.name == f"inturn_{name}" and given:
                    total += sample.value
        return total

    async def owns(self, count: int) -> None:
        """Wait until this worker owns ``count`` partitions."""

        async def is_so() -> bool:
            return await self.metric("owned_partitions") == count

        await eventually(is_so, f"{count} partitions of {self.log}", START_S)

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
