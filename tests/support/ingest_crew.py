"""``inturn ingest --processes 2`` as a test sees it: one port, and what each process tells."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from ops.chaos.processes import free_port
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

CREW = ("-m", "ops.cli", "ingest", "--processes", "2")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestCrew:
    """The parent, and the port on which each of the two is asked."""

    process: ServiceProcess
    metrics_ports: tuple[int, int]

    @property
    def url(self) -> str:
        """What both serve."""
        return self.process.url

    def members(self) -> list[int]:
        """The pids of those that live, the oldest first."""
        pid = self.process.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill_oldest(self) -> int:
        """SIGKILL; its pid."""
        pid = self.members()[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    async def all_ready(self, *, without: int = 0) -> None:
        """Wait until both are, none of them the process ``without``."""

        async def are_so() -> bool:
            found = self.members()
            if len(found) != len(self.metrics_ports) or without in found:
                return False
            return all([await self._status(port) == 200 for port in self.metrics_ports])

        await eventually(are_so, f"two processes: {self.process.log}", 30.0)

    async def totals(self, name: str) -> list[float]:
        """``inturn_<name>`` of each, summed over its labels."""
        return [await self._total(port, name) for port in self.metrics_ports]

    async def status(self, path: str) -> int:
        """What whichever of them says on the port that they share."""
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            return answer.status

    async def _status(self, port: int) -> int:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{port}/readyz") as answer,
            ):
                return answer.status
        except (aiohttp.ClientError, OSError):
            return 0

    async def _total(self, port: int, name: str) -> float:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/metrics") as answer,
        ):
            families = text_string_to_metric_families(await answer.text())
            samples = [sample for family in families for sample in family.samples]
        return sum(sample.value for sample in samples if sample.name == f"inturn_{name}")


@asynccontextmanager
async def ingest_crew(folder: Path, settings: dict[str, Any]) -> AsyncIterator[IngestCrew]:
    """Two processes, both ready; killed at the end."""
    first = free_port_pair()
    settings = {**settings, "metrics_port": first}
    async with ServiceProcess("ingest", folder, settings, command=CREW) as process:
        crew = IngestCrew(process=process, metrics_ports=(first, first + 1))
        await crew.all_ready()
        yield crew


_held: list[socket.socket] = []


def free_port_pair() -> int:
    """A port of which the next one is free, too; both are held as ``free_port`` holds one."""
    while True:
        first = free_port()
        second = socket.socket()
        try:
            second.bind(("127.0.0.1", first + 1))
        except OSError:
            second.close()
            continue
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _held.append(second)
        return first
