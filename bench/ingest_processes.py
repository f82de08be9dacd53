"""
Two ingest processes on one port, beside one.

    python -m bench.ingest_processes [--seconds 1] [--rounds 7] [--connections 64]

Both run all the time, each with a Redis of its own, and take turns: one process, two with as many
connections, two with twice as many. What counts is webhooks per second of the processes' own CPU,
and there they are kept on one CPU, load and Redis on the others: CPUs of a shared machine are not
as fast together as each is alone, and where there are two, two processes would have both. What
they take where the system places them is told beside it.

Then Linux shares out new connections, few and many. There each message goes out twice at the same
instant, over two of them; it must become one entry, whoever gets them.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from bench.crew import IngestCrew, ingest_crew, on_one_cpu
from bench.figures import median
from bench.load import OK, Client, Connection, Sent, Webhooks, choose_client, with_connections
from bench.report import Reach, Report, Row, Void, run_bench
from bench.servers import own_bytes

SETTLE_S = 0.3
"""What wrk left on its way when it stopped is served by then."""

TRIES = {4: 60, 16: 30, 64: 15, 256: 5}
"""How often so many connections are opened anew."""

AT_LEAST = 0.9
"""Of one process's webhooks per second of CPU: as two workers are to do 1.8 times one's work."""

MB = 1_000_000


@dataclass(slots=True)
class Turns:
    """A crew under so many connections, and what came of each turn."""

    name: str
    crew: IngestCrew
    connections: int
    placed: Callable[[IngestCrew], AbstractContextManager[None]]
    sent: list[Sent] = field(default_factory=list)
    per_cpu_s: list[float] = field(default_factory=list)
    redis_us: list[float] = field(default_factory=list)
    busiest: list[float] = field(default_factory=list)

    async def take(self, client: Client, webhooks: Webhooks, seconds: float) -> None:
        """Load it once."""
        taken, used = self.crew.taken(), self.crew.used()
        with self.placed(self.crew):
            sent = await client(self.crew.port, webhooks, self.connections, seconds)
            await asyncio.sleep(SETTLE_S)
        used = self.crew.used() - used
        parts = _grown(taken, self.crew.taken())
        if sent.refused:
            raise Void(f"{self.name}: {sent.refused} webhooks were refused")
        self.sent.append(sent)
        self.per_cpu_s.append(sum(parts) / used.processes_s)
        self.redis_us.append(used.redis_s / sum(parts) * 1e6)
        self.busiest.append(max(parts) / sum(parts))


@dataclass(slots=True)
class Shares:
    """How many of so many new connections the busier process got, try by try."""

    connections: int
    larger: list[int] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Webhooks, two of each message."""
        return self.connections * len(self.larger)


def anywhere(_crew: IngestCrew) -> AbstractContextManager[None]:
    """Where the system places them."""
    return nullcontext()


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """Load one and two in turn; then let the system share connections out among two."""
    client_name, client = choose_client()
    report.note(f"client: {client_name}")
    report.note(
        "on any CPU: client, processes and Redis share them, and bound the requests/s of two"
    )
    webhooks, many = Webhooks(), arguments.connections
    with ingest_crew(1) as one, ingest_crew(2) as two:
        together = [
            Turns("1 process on one CPU", one, many, on_one_cpu),
            Turns("2 processes on it", two, many, on_one_cpu),
            Turns("2 processes on it, twice the connections", two, 2 * many, on_one_cpu),
        ]
        free = [
            Turns("1 process on any CPU", one, many, anywhere),
            Turns("2 processes on any CPU, twice the connections", two, 2 * many, anywhere),
        ]
        runs = [*together, *free]
        for number in range(arguments.rounds):
            for run in runs:
                await run.take(client, webhooks, arguments.seconds)
                rate, each = run.sent[-1].per_s, run.per_cpu_s[-1]
                told = f"{rate:,.0f} requests/s, {each:,.0f} a second of CPU"
                report.say(f"round {number + 1}: {run.name}: {told}")
        shares = [await share_out(two, webhooks, count, tries) for count, tries in TRIES.items()]
        for crew, sent_twice in ((one, 0), (two, sum(of_one.sent for of_one in shares))):
            _check(crew, [run for run in runs if run.crew is crew], sent_twice)
        memory = {"1 process": _memory(one), "2 processes": _memory(two)}
    _add_rates(report, together, Reach(limit=AT_LEAST, at_least=True, of_ratio=True))
    _add_rates(report, free, None)
    _add_shares(report, [run for run in runs if run.crew is two], shares)
    for name, size in memory.items():
        report.add(f"memory of {name} and the parent", size / MB, "MB")


async def share_out(crew: IngestCrew, webhooks: Webhooks, connections: int, tries: int) -> Shares:
    """
    Each connection sends one webhook, and another one of them the same.

    Raises:
        Void: one was refused, or is in no process's count.
    """
    shares, before = Shares(connections), crew.taken()
    for _ in range(tries):
        first = webhooks.take(connections // 2)
        numbers = iter([first + number // 2 for number in range(connections)])

        async def post_next(connection: Connection, numbers: Iterator[int] = numbers) -> None:
            status, _ = await connection.post(webhooks.body(next(numbers)))
            if status != OK:
                raise Void(f"a webhook was answered {status}")

        await with_connections(crew.port, connections, post_next)
        taken = crew.taken()
        parts, before = _grown(before, taken), taken
        if sum(parts) != connections:
            raise Void(f"{connections} webhooks were answered, {sum(parts)} are counted")
        shares.larger.append(max(parts))
    return shares


def _grown(before: list[int], after: list[int]) -> list[int]:
    return [now - then for then, now in zip(before, after, strict=True)]


def _check(crew: IngestCrew, runs: list[Turns], sent_twice: int) -> None:
    """``sent_twice``: webhooks beyond those of the runs, of which half bring nothing new."""
    crew.check(
        answered=sum(sent.answered for run in runs for sent in run.sent) + sent_twice,
        on_the_way=sum(run.connections * len(run.sent) for run in runs),
        repeated=sent_twice // 2,
    )


def _memory(crew: IngestCrew) -> int:
    """Of all its processes and their parent."""
    return sum(map(own_bytes, (crew.parent.pid, *crew.pids)))


def _add_rates(report: Report, runs: list[Turns], reach: Reach | None) -> None:
    """
    Each run beside the first of them; ``reach`` is the last one's, by the second of CPU: there a
    process has as many connections as the only one has.
    """
    of_cpu: Row | None = None
    rate: Row | None = None
    for run in runs:
        value, goal = median(run.per_cpu_s), reach if run is runs[-1] else None
        name = f"{run.name}, of a second of CPU"
        row = report.add(name, value, "webhooks", against=of_cpu, reach=goal)
        of_cpu = of_cpu or row
    for run in runs:
        value = median([sent.per_s for sent in run.sent])
        row = report.add(run.name, value, "requests/s", against=rate)
        rate = rate or row
    for run in runs:
        report.add(f"{run.name}, CPU of Redis", median(run.redis_us), "us/webhook")


def _add_shares(report: Report, runs: list[Turns], shares: list[Shares]) -> None:
    for run in runs:
        name = f"{run.name}: the busier one's requests"
        report.add(name, median(run.busiest) * 100, "%")
    for of_one in shares:
        count, tries = of_one.connections, len(of_one.larger)
        name = f"{count} new connections, {tries} times: the busier one's part"
        report.add(name, median(of_one.larger) / count * 100, "%")
        report.add(f"{name}, at most", max(of_one.larger) / count * 100, "%")
    fewest = min(shares, key=lambda of_one: of_one.connections)
    alone = fewest.larger.count(fewest.connections)
    name = f"{fewest.connections} new connections, all to one of two"
    report.add(name, alone, f"of {len(fewest.larger)}")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.ingest_processes", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1, help="of one turn")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--connections", type=int, default=64)
    arguments = parser.parse_args()
    run_bench("ingest_processes", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
