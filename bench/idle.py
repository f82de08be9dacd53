"""
What ``inturn up`` costs while nobody writes: CPU of all its processes, and commands of its Redis.

    python -m bench.idle [--seconds 20]

Commands are counted as Redis counts them: those that a service sends, and those that its scripts
call. A MONITOR tells the two apart; it costs Redis, so it comes after the CPU was looked at.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from bench.report import Reach, Report, Void, run_bench
from bench.servers import HOST, Process, cpu_s
from bench.store import Store
from shared.home import FOLDER_NAME, Running, find_running
from tests.support.redis_server import free_port
from tests.support.waiting import eventually

WARM_UP_S = 3.0
"""Start-up work (takeovers, the first survey) is over by then."""


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """Start it, let it settle, look twice."""
    with tempfile.TemporaryDirectory(prefix="inturn-bench-") as folder:
        ports = {"INTURN_PORT": str(free_port()), "INTURN_CONSUMER_PORT": str(free_port())}
        env = {**ports, "INTURN_HOST": HOST}
        with Process("ops.cli", ("up",), env=env, folder=Path(folder)) as up:
            await eventually(lambda: _noted(Path(folder)), "inturn up to listen", 20)
            running = _noted(Path(folder))
            assert running is not None
            up.port = running.port or 0
            up.wait_ready()
            await asyncio.sleep(WARM_UP_S)
            await _watch(report, running, arguments.seconds)
            await _count_commands(report, running, arguments.seconds)
            up.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """CPU that has been used so far, and how often Redis has read a connection."""

    at_s: float
    services_s: float
    redis_s: float
    reads: int


async def _watch(report: Report, running: Running, seconds: float) -> None:
    assert running.redis_url is not None
    store = Store(running.redis_url)
    before = _read(store, running)
    await asyncio.sleep(seconds)
    after = _read(store, running)
    if store.backlog(store.streams()):
        raise Void("somebody wrote")
    took_s = after.at_s - before.at_s
    services = 100 * (after.services_s - before.services_s) / took_s
    redis = 100 * (after.redis_s - before.redis_s) / took_s
    report.add("CPU of the services", services, "% of a core")
    report.add("CPU of Redis", redis, "% of a core")
    report.add("CPU, all", services + redis, "% of a core", reach=Reach(limit=1))
    report.add("reads of a connection by Redis", (after.reads - before.reads - 1) / took_s, "/s")


def _read(store: Store, running: Running) -> Reading:
    assert running.redis_pid is not None
    services = [running.up_pid, *children_of(running.up_pid, but=running.redis_pid)]
    return Reading(
        at_s=time.monotonic(),
        services_s=sum(map(cpu_s, services)),
        redis_s=cpu_s(running.redis_pid),
        reads=store.reads_count(),
    )


async def _count_commands(report: Report, running: Running, seconds: float) -> None:
    assert running.redis_url is not None
    sent: Counter[str] = Counter()
    scripted: Counter[str] = Counter()
    async with Redis.from_url(running.redis_url, protocol=2) as client, client.monitor() as monitor:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    seen = await monitor.next_command()
                    counts = scripted if seen["client_type"] == "lua" else sent
                    counts[seen["command"].split()[0].lower()] += 1
    total, within = sent.total() / seconds, scripted.total() / seconds
    report.add("commands, all", total + within, "/s", reach=Reach(limit=20))
    report.add("commands that services send", total, "/s")
    report.add("commands that their scripts call", within, "/s")
    for name, count in sent.most_common(8):
        report.add(f"commands sent: {name}", count / seconds, "/s")


def children_of(pid: int, *, but: int) -> list[int]:
    """The processes that ``pid`` has started, but for one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if int(child) != but]


def _noted(folder: Path) -> Running | None:
    running = find_running(folder / FOLDER_NAME)
    return running if running is not None and running.port is not None else None


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.idle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    run_bench("idle", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
