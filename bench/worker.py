"""
How many stored messages one worker takes through windows, beside loops and libraries that do less.

    python -m bench.worker [--messages 200000] [--jobs 5000] [--instances 1,100] [--rounds 3]

The handler is a Python function that does nothing. A worker that has joined is timed from the first
read until the last window is finished; a peer until the last message is acknowledged. They take
turns, so that a machine that slows down slows all of them; the median of each one's rounds counts.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bench.drain import PER_USER, Drained, drain, store_once, stored_messages, whole_users
from bench.figures import median
from bench.peers.environment import BULLMQ, FASTSTREAM, TASKIQ, Peer, handled_of
from bench.report import Reach, Report, Void, run_bench
from bench.servers import Process, redis_server
from bench.store import AT_ONCE, Store
from shared.keys import GROUP
from shared.wire import encode_message

LOOPS = {
    "redis-py loop, XREADGROUP 500 + XACK": "plain",
    "the same loop, with JSON and XDEL": "decoding",
}
STREAM = "messages"

REACHES = {next(iter(LOOPS)): 0.25, FASTSTREAM.name: 1, BULLMQ.name: 3, TASKIQ.name: 12}
"""At least so many times a peer's rate."""

LIMIT_S = 120.0

Rates = dict[str, list[float]]


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """Store once for each number of instances; then workers and peers in turns."""
    count, jobs = whole_users(arguments.messages), whole_users(arguments.jobs)
    report.note(
        f"{count:,} messages of {count // PER_USER:,} users; {jobs:,} for BullMQ and taskiq"
    )
    report.note("the worker, or peer, and Redis share the CPUs")
    _describe_peers(report)
    peers = {peer: count if peer is FASTSTREAM else jobs for peer in _installed(report)}
    rates: Rates = defaultdict(list)
    runs: dict[int, list[Drained]] = {instances: [] for instances in arguments.instances}
    with tempfile.TemporaryDirectory() as folder:
        stored = {}
        for instances in runs:
            messages = stored_messages(count, instances)
            stored[instances] = await store_once(messages, Path(folder, str(instances)))
            report.say(f"stored {count:,} messages of {instances} instances")
        for _ in range(arguments.rounds):
            _measure_peers(report, rates, count, peers)
            for instances, of_instances in runs.items():
                of_instances.append(await drain(stored[instances]))
                rate = of_instances[-1].per_s
                report.say(f"worker, {instances} instances: {rate:,.0f} messages/s")
    _add_rows(report, runs, rates)


def _describe_peers(report: Report) -> None:
    report.note("no peer cuts windows, keeps a user's order under concurrency or fences anything")
    report.note("the plain loop decodes nothing; loops and FastStream acknowledge 500 at a time")
    report.note("BullMQ and taskiq finish each message by itself, 100 at once")
    report.note("of the peers only BullMQ and the second loop delete what they have handled")


def _installed(report: Report) -> Iterator[Peer]:
    return (peer for peer in (FASTSTREAM, BULLMQ, TASKIQ) if peer.is_there(report))


def _measure_peers(report: Report, rates: Rates, count: int, peers: dict[Peer, int]) -> None:
    for name, kind in LOOPS.items():
        rates[name].append(_rate_of_loop(count, kind))
        report.say(f"{name}: {rates[name][-1]:,.0f} messages/s")
    for peer, messages in peers.items():
        rates[peer.name].append(_rate_of_peer(messages, peer))
        report.say(f"{peer.name}: {rates[peer.name][-1]:,.0f} messages/s")


def _rate_of_loop(count: int, kind: str) -> float:
    with redis_server() as redis:
        store = Store(redis.url)
        store.call("XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM")
        bodies = _bodies(count)
        while chunk := list(islice(bodies, AT_ONCE)):
            store.call_many([("XADD", STREAM, "*", "m", body) for body in chunk])
        arguments = (redis.url, STREAM, GROUP.decode(), kind)
        with Process("bench.processes.read_loop", arguments) as process:
            process.wait_end()
            entries, seconds = process.log().split()
        if int(entries) != count or store.pending([STREAM]):
            raise Void(f"the {kind} loop read {entries} of {count} messages")
    return count / float(seconds)


def _rate_of_peer(count: int, peer: Peer) -> float:
    with redis_server() as redis, tempfile.TemporaryDirectory() as folder:
        bodies = Path(folder, "bodies")
        bodies.write_bytes(b"".join(body + b"\n" for body in _bodies(count)))
        with peer.start(redis.url, str(bodies)) as process:
            process.wait_end(LIMIT_S)
            handled, seconds = handled_of(process)
        left = _left(Store(redis.url), peer)
    if handled != count or left:
        raise Void(f"{peer.name} handled {handled} of {count} messages, and {left} are left")
    return count / seconds


def _left(store: Store, peer: Peer) -> int:
    """What a peer has not finished, by Redis's account."""
    if peer is not BULLMQ:
        return store.pending([STREAM])
    lists = [("LLEN", f"bull:{STREAM}:{name}") for name in ("wait", "active")]
    return sum(store.call_many([*lists, ("ZCARD", f"bull:{STREAM}:failed")]))


def _bodies(count: int) -> Iterator[bytes]:
    return (encode_message(message) for message in stored_messages(count, 1))


def _add_rows(report: Report, runs: dict[int, list[Drained]], rates: Rates) -> None:
    peers = {name: report.add(name, median(values), "messages/s") for name, values in rates.items()}
    for instances, of_instances in runs.items():
        name = f"worker, {instances} instance{'s' if instances > 1 else ''}"
        rate = median([run.per_s for run in of_instances])
        report.add(name, rate, "messages/s")
        for peer, limit in REACHES.items():
            if peer in peers:
                reach, against = Reach(limit=limit, at_least=True, of_ratio=True), peers[peer]
                report.add(f"{name} / {peer}", rate, "messages/s", against=against, reach=reach)
        messages = sum(run.messages for run in of_instances)
        windows = sum(run.windows for run in of_instances)
        report.add(f"{name}, members of a window", messages / windows, "messages")
        for what, field in (("worker", "worker_s"), ("Redis", "redis_s")):
            each = sum(getattr(run, field) for run in of_instances) / messages * 1e6
            report.add(f"{name}, CPU of {what}", each, "us/message")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.worker", description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--jobs", type=int, default=5000, help="for peers without batches")
    parser.add_argument(
        "--instances", type=lambda text: [int(part) for part in text.split(",")], default=[1, 100]
    )
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    run_bench("worker", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
