"""
How much faster several workers are than one, where the handler's time bounds them.

    python -m bench.workers [--messages 30000] [--concurrency 32] [--rounds 2]

The handler waits 50 ms, as a call to a quick service does; a worker has so many handlers at once.
The workers have joined and share the partitions before they are timed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.drain import WINDOW, drain, store_once, stored_messages, whole_users
from bench.figures import median
from bench.processes.handlers import SLOW_S
from bench.report import Reach, Report, run_bench

REACHES = {2: 1.8, 4: 3.5, 8: 6.0}
"""How many times one worker's rate so many reach; of eight, two cores have little left to give."""

WORKERS = (1, *REACHES)


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """Store once, then drain with one worker and with more, in turns."""
    count = whole_users(arguments.messages)
    report.note(f"{count:,} messages in windows of {WINDOW}; a handler of {SLOW_S * 1000:.0f} ms")
    at_once = arguments.concurrency
    bound = at_once / SLOW_S * WINDOW
    report.note(f"{at_once} handlers at once: {bound:,.0f} messages/s of one worker at most")
    report.note("workers and Redis share the CPUs")
    rates: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    with tempfile.TemporaryDirectory() as folder:
        stored = await store_once(stored_messages(count, 1), Path(folder, "stored"))
        for _ in range(arguments.rounds):
            for workers, of_workers in rates.items():
                run = await drain(
                    stored,
                    workers=workers,
                    HANDLER="python:bench.processes.handlers:slow",
                    HANDLER_CONCURRENCY=str(at_once),
                )
                of_workers.append(run.per_s)
                report.say(f"{workers} workers: {run.per_s:,.0f} messages/s")
    one = report.add("1 worker", median(rates[1]), "messages/s")
    for workers, limit in REACHES.items():
        reach = Reach(limit=limit, at_least=True, of_ratio=True)
        rate = median(rates[workers])
        report.add(f"{workers} workers", rate, "messages/s", against=one, reach=reach)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.workers", description=__doc__)
    parser.add_argument("--messages", type=int, default=30_000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    run_bench("workers", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
