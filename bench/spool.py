"""
How many messages the spool keeps, beside a bare shared sync and SQLite; and how fast it replays.

``SQLite`` and ``file`` (the spool's own form of files) stand in the same frame, to choose between
the two; ``spool`` is all of it, with limits and metrics.

    python -m bench.spool [--seconds 2] [--rounds 3]

All of them commit together what came while the last commit was on its way, in a thread of their
own, and take turns, so that a disk that slows down slows all of them; the median of each one's
rounds counts.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.figures import median
from bench.payloads import INSTANCE, message_maker, with_ids
from bench.report import Reach, Report, Void, run_bench
from bench.servers import redis_server
from bench.spool_peers import GroupCommit, bare_file, segment_file, sqlite_file
from ingest.spool.payload import Spooled, encode_spooled
from ingest.spool.record import scan_records
from ingest.spool.spool import Spool, now_ms
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import Message
from tests.support.spooling import spooling

CONCURRENT = (1, 64, 512)
REPLAYED = 20_000
USERS = 500

Kept = tuple[int, float]
"""Messages, and how many a second."""

Put = Callable[[Message], Awaitable[None]]


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """Every contestant at every concurrency, in turn; then a replay."""
    rates: dict[tuple[str, int], list[float]] = defaultdict(list)
    costs: dict[tuple[str, int], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="inturn-bench-") as name:
        for number in range(arguments.rounds):
            for concurrent in CONCURRENT:
                for contestant, run in CONTESTANTS.items():
                    folder = Path(name) / f"{number}-{concurrent}-{contestant}"
                    folder.mkdir()
                    cpu_s = time.process_time()
                    count, rate = await run(folder, concurrent, arguments.seconds)
                    cost_us = (time.process_time() - cpu_s) / count * 1e6
                    rates[contestant, concurrent].append(rate)
                    costs[contestant, concurrent].append(cost_us)
                    what = f"{contestant}, {concurrent} concurrent"
                    report.say(f"{what}: {rate:,.0f} messages/s, {cost_us:.1f} us each")
        await _replay(report, Path(name) / "replay")
    for concurrent in CONCURRENT:
        bare = report.add(
            f"bare shared sync, {concurrent} concurrent",
            median(rates["bare", concurrent]),
            "messages/s",
        )
        for contestant in ("SQLite", "file", "spool"):
            reach = Reach(limit=0.7, at_least=True, of_ratio=True)
            report.add(
                f"{contestant}, {concurrent} concurrent",
                median(rates[contestant, concurrent]),
                "messages/s",
                against=bare,
                reach=reach if contestant == "spool" else None,
            )
    for concurrent in CONCURRENT:
        for contestant in CONTESTANTS:
            cost = median(costs[contestant, concurrent])
            report.add(f"CPU of {contestant}, {concurrent} concurrent", cost, "us/message")
    report.note("CPU with what the load itself takes: making a message and encoding it")


async def _bare(folder: Path, concurrent: int, seconds: float) -> Kept:
    return await _peer(GroupCommit(bare_file(folder / "file")), concurrent, seconds)


async def _sqlite(folder: Path, concurrent: int, seconds: float) -> Kept:
    return await _peer(GroupCommit(sqlite_file(folder / "database")), concurrent, seconds)


async def _file(folder: Path, concurrent: int, seconds: float) -> Kept:
    return await _peer(GroupCommit(segment_file(folder / "file")), concurrent, seconds)


async def _peer(peer: GroupCommit, concurrent: int, seconds: float) -> Kept:
    async def put(message: Message) -> None:
        await peer.put(encode_spooled(Spooled(message=message, at=now_ms())))

    try:
        return await _load(put, concurrent, seconds)
    finally:
        peer.stop()


async def _spool(folder: Path, concurrent: int, seconds: float) -> Kept:
    spool = Spool(folder, "bench", 1 << 40, IngestMetrics(InstanceLabels(1)), now_ms)
    try:
        count, rate = await _load(lambda message: spool.put([message]), concurrent, seconds)
    finally:
        spool.close()
    kept = _count(folder)
    if kept < count:
        raise Void(f"{count} messages were kept, {kept} are on the disk")
    return count, rate


CONTESTANTS = {"bare": _bare, "SQLite": _sqlite, "file": _file, "spool": _spool}


async def _load(put: Put, concurrent: int, seconds: float) -> Kept:
    """Messages that were kept, and per second: each task keeps one after the other."""
    pattern = message_maker()
    end_s = time.monotonic() + seconds
    counts = [0] * concurrent

    async def keep(number: int) -> None:
        while time.monotonic() < end_s:
            await put(with_ids(pattern, INSTANCE, number, counts[number]))
            counts[number] += 1

    began_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(concurrent):
            group.create_task(keep(number))
    return sum(counts), sum(counts) / (time.monotonic() - began_s)


async def _replay(report: Report, folder: Path) -> None:
    """From the begin of the outage, for Redis is back at once, to the last message's append."""
    pattern = message_maker()
    messages = [with_ids(pattern, INSTANCE, n % USERS, n) for n in range(REPLAYED)]
    with redis_server() as redis:
        async with spooling(redis.url, Keys("bench", 16), folder) as made:
            await made.spool.put(messages)
            began_s = time.monotonic()
            made.appender.begin("measured")
            await made.online(60.0)
            took_s = time.monotonic() - began_s
            replayed = made.metrics.registry.get_sample_value("inturn_spool_replayed_total")
            if replayed != REPLAYED:
                raise Void(f"{replayed} of {REPLAYED} messages were replayed")
    report.add(f"replay of {USERS} users", REPLAYED / took_s, "messages/s")


def _count(folder: Path) -> int:
    files = folder.glob("*/*.spool")
    return sum(len(scan_records(file.read_bytes()).records) for file in files)


def main() -> None:
    """``make bench BENCH=spool``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    run_bench("spool", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
