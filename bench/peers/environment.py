"""
Where the peers are installed, and starting one of them.

``make bench-setup`` installs them. A bench without its peer says so and leaves the row out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from bench.report import Report, Void
from bench.servers import Process
from tests.support.redis_server import ROOT

FOLDER = ROOT / ".peers"
PYTHON = FOLDER / "python" / "bin" / "python"
NODE_MODULES = FOLDER / "node" / "node_modules"
HERE = Path(__file__).parent

_TOLD = re.compile(r"^handled (\d+) in ([\d.]+) s$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A program of this folder, and the packages that it shows."""

    name: str
    program: str
    packages: Sequence[str]

    def is_there(self, report: Report) -> bool:
        """Whether it is installed; the report names its versions, or what is missing."""
        found = versions(self.packages)
        missing = [package for package in self.packages if package not in found]
        if missing:
            report.note(f"no figure of {self.name}: `make bench-setup` installs it")
            return False
        report.note(f"{self.name}: " + ", ".join(f"{name} {found[name]}" for name in found))
        return True

    def start(self, *arguments: str, port: int = 0) -> Process:
        """Its process, not yet begun. ``port``: where it serves HTTP, if it does."""
        if self.program.endswith(".js"):
            env = {"NODE_PATH": str(NODE_MODULES)}
            return Process(str(HERE / self.program), arguments, env=env, program=("node",))
        program = (str(PYTHON), "-m")
        return Process(f"bench.peers.{self.program}", arguments, port=port, program=program)


FASTAPI = Peer(
    name="FastAPI with one XADD per request",
    program="fastapi_xadd",
    packages=("fastapi", "uvicorn", "uvloop", "httptools", "redis"),
)
FASTSTREAM = Peer(
    name="FastStream batch subscriber",
    program="faststream_batch",
    packages=("faststream", "redis"),
)
BULLMQ = Peer(name="BullMQ worker", program="bullmq_worker.js", packages=("bullmq", "ioredis"))
TASKIQ = Peer(
    name="taskiq stream broker", program="taskiq_stream", packages=("taskiq", "taskiq-redis")
)


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Those of the packages that are installed, with their versions."""
    found = {**_python_versions(), **_node_versions()}
    return {package: found[package] for package in packages if package in found}


def handled_of(process: Process) -> tuple[int, float]:
    """
    How many messages a program says it has handled, and in how many seconds.

    Raises:
        Void: it says nothing.
    """
    told = _TOLD.search(process.log())
    if told is None:
        raise Void(f"{process.module} told nothing: {process.log()[-2000:]}")
    return int(told[1]), float(told[2])


def _python_versions() -> dict[str, str]:
    folders = [str(folder) for folder in PYTHON.parents[1].glob("lib/python3*/site-packages")]
    return {found.name.lower(): found.version for found in distributions(path=folders)}


def _node_versions() -> dict[str, str]:
    facts = [json.loads(path.read_text()) for path in NODE_MODULES.glob("*/package.json")]
    return {fact["name"]: fact["version"] for fact in facts}
