"""
The processes that a bench starts: services and peers, each ended by its own pid.

All are on loopback, on ports that were free. Services get their settings as ``INTURN_*``, over
those of the caller, and write their log to a file, as under a process supervisor.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from bench.report import Void
from shared.lifeline import tie_to_this_process
from tests.support.redis_server import ROOT, RedisServer, free_port, tested_binary

HOST = "127.0.0.1"
READY_S = 20.0
END_S = 30.0
POLL_S = 0.01


def redis_server(**options: str) -> RedisServer:
    """A private Redis on a loopback port, without persistence unless ``options`` say so."""
    return RedisServer(tested_binary(), on_port=True, options=options)


class Process:
    """``python -m <module>`` of this repository, or another program; leaving the block ends it."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        port: int = 0,
        folder: Path = ROOT,
        program: Sequence[str] = (sys.executable, "-m"),
    ) -> None:
        """
        ``port``: where it serves HTTP, if it does. ``folder``: its working directory.

        ``program``: what runs the module.
        """
        self.module = module
        self.port = port
        self._command = [*program, module, *arguments]
        self._env = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        self._folder = folder
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            preexec_fn=tie_to_this_process(),  # noqa: PLW1509  the main thread forks
        )
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def wait_ready(self, path: str = "/readyz") -> Self:
        """
        Block until it answers 200.

        Raises:
            Void: it ended, or is not ready after ``READY_S``.
        """
        deadline_s = time.monotonic() + READY_S
        while (status := status_of(self.port, path)) != http.client.OK:
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise Void(f"{self.module} did not start ({status}): {self.log()[-2000:]}")
            time.sleep(POLL_S)
        return self

    def wait_end(self, limit_s: float = END_S) -> None:
        """
        Block until it ends by itself.

        Raises:
            Void: it failed, or still runs after ``limit_s``.
        """
        try:
            code = self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise Void(f"{self.module} still runs after {limit_s:g} s") from None
        if code != 0:
            raise Void(f"{self.module} ended with {code}: {self.log()[-2000:]}")

    def stop(self) -> None:
        """End it as an operator would, and wait."""
        self._process.send_signal(signal.SIGTERM)
        self.wait_end()

    def log(self) -> str:
        """All that it has printed; where it writes next is not moved, for it shares the file."""
        log = self._log.fileno()
        return os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")

    def scrape(self) -> Samples:
        """Its metrics now."""
        return scrape(self.port)


class Samples:
    """One scrape of ``/metrics``."""

    def __init__(self, text: str) -> None:
        self._samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def total(self, name: str) -> float:
        """The sum over all labels of the samples called ``inturn_<name>``."""
        return sum(s.value for s in self._samples if s.name == f"inturn_{name}")


def scrape(port: int) -> Samples:
    """What a server of this machine tells on ``/metrics`` now."""
    return Samples(_get(port, "/metrics")[1].decode())


def status_of(port: int, path: str = "/readyz") -> int:
    """The status that a server of this machine answers with, 0 if it does not."""
    try:
        return _get(port, path)[0]
    except OSError:
        return 0


def ingest(redis: RedisServer, **settings: str) -> Process:
    """``python -m ingest`` on a free port."""
    port = free_port()
    spool = str(redis.folder / "spool")
    env = _settings(redis, **{"PORT": str(port), "SPOOL_DIR": spool, **settings})
    return Process("ingest", env=env, port=port)


def consumer(
    redis: RedisServer,
    *,
    module: str = "consumer",
    arguments: Sequence[str] = (),
    **settings: str,
) -> Process:
    """``python -m consumer`` on a free port, or another program that runs one worker."""
    port = free_port()
    env = _settings(redis, CONSUMER_PORT=str(port), **settings)
    return Process(module, arguments, env=env, port=port)


def cpu_s(pid: int) -> float:
    """
    Seconds of CPU that a process has used, itself alone.

    From the scheduler's own account, to the nanosecond, of the threads that live; the kernel's
    other one counts ticks of 10 ms and does not see what is shorter.
    """
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def anonymous_bytes(pid: int) -> int:
    """Memory of a process that is in RAM and belongs to no file."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise Void("this kernel does not tell a process's anonymous memory")


def peak_bytes(pid: int) -> int:
    """The most that a process ever had in RAM, its files' pages too."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise Void("this kernel does not tell the most that a process had in RAM")


def own_bytes(pid: int) -> int:
    """The same, of a page that it shares with other processes only its part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) * 1024
    raise Void("this kernel does not tell a process's part of shared memory")


def _settings(redis: RedisServer, **settings: str) -> dict[str, str]:
    wanted = {"REDIS_URL": redis.url, "HOST": HOST, **settings}
    return {f"INTURN_{name}": value for name, value in wanted.items()}


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
