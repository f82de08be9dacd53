"""
How long until inturn takes messages: ``inturn up``, and ``make run`` in a fresh clone.

    python -m bench.start [--rounds 5] [--clones 1]

Each is timed from its start until ``/readyz`` answers 200, with a new folder for the data. The
clone is of the commit that is checked out; what ``make run`` installs comes from the package
cache where it is warm, as it is after ``make setup``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from http.client import OK
from pathlib import Path

from bench.figures import median
from bench.report import Reach, Report, Void, run_bench
from bench.servers import END_S, HOST, POLL_S, Process, status_of
from tests.support.redis_server import ROOT, free_port

CLONE_LIMIT_S = 180.0


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """The service first, then the clone."""
    started_s = [_time_up() for _ in range(arguments.rounds)]
    report.note(f"inturn up: the median of {arguments.rounds}, with an embedded Redis")
    report.add("inturn up until ready", median(started_s), "s", reach=Reach(limit=1.5))
    if shutil.which("git") is None or shutil.which("make") is None:
        report.note("no figure of make run: git and make are needed")
        return
    cloned_s = [_time_clone() for _ in range(arguments.clones)]
    report.note("a clone without a Redis on PATH would also fetch one")
    report.add(
        "make run in a fresh clone, until ready", median(cloned_s), "s", reach=Reach(limit=20)
    )


def _ports() -> dict[str, str]:
    ports = {"INTURN_PORT": str(free_port()), "INTURN_CONSUMER_PORT": str(free_port())}
    return {**ports, "INTURN_HOST": HOST}


def _time_up() -> float:
    env = _ports()
    with tempfile.TemporaryDirectory(prefix="inturn-bench-") as folder:
        up = Process("ops.cli", ("up",), env=env, port=int(env["INTURN_PORT"]), folder=Path(folder))
        began_s = time.perf_counter()
        with up:
            up.wait_ready()
            took_s = time.perf_counter() - began_s
            up.stop()
    return took_s


def _time_clone() -> float:
    env = _ports()
    port = int(env["INTURN_PORT"])
    with tempfile.TemporaryDirectory(prefix="inturn-bench-") as folder, ExitStack() as stack:
        clone = Path(folder, "inturn")
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        log = stack.enter_context(Path(folder, "log").open("wb"))
        began_s = time.perf_counter()
        run = subprocess.Popen(
            ["make", "run"],
            cwd=clone,
            env={**_plain_environment(), **env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        stack.callback(_end_group, run)
        while status_of(port) != OK:
            if run.poll() is not None or time.perf_counter() > began_s + CLONE_LIMIT_S:
                raise Void(f"make run did not start: {Path(log.name).read_text()[-2000:]}")
            time.sleep(POLL_S)
        return time.perf_counter() - began_s


def _plain_environment() -> dict[str, str]:
    """Ours, without what would lead the clone's make and Python back to this folder."""
    ours = ("INTURN_", "MAKE", "MFLAGS", "PYTHONPATH", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _end_group(leader: subprocess.Popen[bytes]) -> None:
    """End make and what it started, as Ctrl-C on a terminal would."""
    for signum in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(leader.pid, signum)
        with suppress(subprocess.TimeoutExpired):
            leader.wait(END_S)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clones", type=int, default=1)
    arguments = parser.parse_args()
    run_bench("start", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
