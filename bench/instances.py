"""
What it costs a worker that messages belong to many instances, or that many others are idle.

    python -m bench.instances [--messages 100000] [--idle 100000] [--rounds 3]

The same number of messages of the same users each time; only the number of instances that they
are spread over differs. The worker has joined and taken over before it is timed. All take turns,
and the median of each one's rounds counts.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.drain import Drained, Stored, drain, store_once, stored_messages, whole_users
from bench.figures import median
from bench.report import Reach, Report, Void, run_bench

INSTANCES = (1, 100, 10_000)
BUSY = "1 instance beside idle ones"


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """Store once for each number of instances, then drain in turns."""
    count = whole_users(arguments.messages)
    users = len({message.user for message in stored_messages(count, 1)})
    if users < max(INSTANCES):
        raise Void(f"{users} users cannot write to {max(INSTANCES)} instances")
    report.note(f"{count:,} messages of {users:,} users; worker and Redis share the CPUs")
    with tempfile.TemporaryDirectory() as folder:
        stored = {}
        for instances in INSTANCES:
            messages = stored_messages(count, instances)
            stored[instances] = await store_once(messages, Path(folder, str(instances)))
            report.say(f"stored {count:,} messages of {instances:,} instances")
        runs = await _drain_in_turns(report, stored, arguments)
    _add_rows(report, runs, arguments.idle)


async def _drain_in_turns(
    report: Report, stored: dict[int, Stored], arguments: argparse.Namespace
) -> dict[str, list[Drained]]:
    runs: dict[str, list[Drained]] = {name: [] for name in (*map(_name, stored), BUSY)}
    for _ in range(arguments.rounds):
        runs[BUSY].append(await drain(stored[1], idle=arguments.idle))
        for instances, messages in stored.items():
            runs[_name(instances)].append(await drain(messages))
        rates = (f"{name}: {of_name[-1].per_s:,.0f}/s" for name, of_name in runs.items())
        report.say("; ".join(rates))
    return runs


def _add_rows(report: Report, runs: dict[str, list[Drained]], idle: int) -> None:
    alone = None
    for name, of_name in runs.items():
        rate = median([run.per_s for run in of_name])
        shown = f"1 instance beside {idle:,} idle ones" if name == BUSY else name
        reach = Reach(limit=0.95 if name == BUSY else 0.5, at_least=True, of_ratio=True)
        if alone is None:
            alone = report.add(shown, rate, "messages/s")
        else:
            report.add(shown, rate, "messages/s", against=alone, reach=reach)
    for name, of_name in runs.items():
        for what, seconds in (("worker", "worker_s"), ("Redis", "redis_s")):
            each = median([getattr(run, seconds) / run.messages * 1e6 for run in of_name])
            report.add(f"{name}, CPU of {what}", each, "us/message")


def _name(instances: int) -> str:
    return "1 instance" if instances == 1 else f"{instances:,} instances"


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.instances", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--idle", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    run_bench("instances", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
