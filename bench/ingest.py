"""
How many webhooks ingest takes, beside servers that do less.

    python -m bench.ingest [--seconds 4] [--rounds 3] [--connections 64]

The servers take turns, so that a machine that slows down slows all of them, and the median of
each one's rounds counts. Verification, dedupe, metrics and the default log level are on.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.figures import median
from bench.load import Client, Sent, Webhooks, choose_client
from bench.payloads import INSTANCES_SETTING
from bench.peers.environment import FASTAPI
from bench.report import Reach, Report, Row, Void, run_bench
from bench.servers import Process, cpu_s, ingest, redis_server
from bench.store import Store
from tests.support.redis_server import RedisServer, free_port

SETTLE_S = 0.5
"""What wrk left on its way when it stopped is served by then."""

PEER = "bench.processes.http_peer"
STREAM = "messages"
"""Where that peer adds."""

PARSE, XADD = "aiohttp that only parses", "aiohttp with one XADD per request"
UVICORN = FASTAPI.name
INTURN, INTURN_AOF = "inturn", "inturn, AOF always"

REACHES = (
    (INTURN, PARSE, 0.6),
    (INTURN_AOF, PARSE, 0.5),
    (INTURN, XADD, 1.5),
    (INTURN, UVICORN, 3),
)
"""At least so many times a peer's rate."""


@dataclass(slots=True)
class Target:
    """A server under load, and the Redis behind it, if there is one."""

    name: str
    process: Process
    store: Store | None = None
    stream: str | None = None
    redis: RedisServer | None = None
    sent: list[Sent] = field(default_factory=list)
    idle_s: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self.idle_s = self.used_s()

    def used_s(self) -> dict[str, float]:
        """Seconds of CPU so far, of each of its processes."""
        used = {"server": cpu_s(self.process.pid)}
        if self.redis is not None:
            used["Redis"] = cpu_s(self.redis.pid)
        return used

    def stored(self) -> int:
        """Messages that Redis has of it."""
        assert self.store is not None
        if self.stream is not None:
            return int(self.store.call("XLEN", self.stream))
        return self.store.backlog(self.store.streams())


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """Load every server in turn."""
    client_name, client = choose_client()
    report.note(f"client: {client_name}, {arguments.connections} connections")
    report.note("client, server and Redis share the CPUs; each waits for the others")
    report.note("peers verify, normalise, dedupe and count nothing; the first has no Redis")
    with ExitStack() as stack:
        targets = _start(stack, report)
        await _load(report, arguments, client, targets)
        for target in targets:
            _check(target, arguments.connections)
        _add_rates(report, targets)


def _start(stack: ExitStack, report: Report) -> list[Target]:
    targets = [Target(PARSE, _start_peer(stack, "parse"))]
    redis = stack.enter_context(redis_server())
    process = _start_peer(stack, "xadd", redis.url)
    targets.append(Target(XADD, process, Store(redis.url), STREAM, redis))
    if FASTAPI.is_there(report):
        redis, port = stack.enter_context(redis_server()), free_port()
        process = stack.enter_context(FASTAPI.start(str(port), redis.url, port=port)).wait_ready()
        targets.append(Target(UVICORN, process, Store(redis.url), STREAM, redis))
    for name, options in (
        (INTURN, {}),
        (INTURN_AOF, {"appendonly": "yes", "appendfsync": "always"}),
    ):
        redis = stack.enter_context(redis_server(**options))
        process = stack.enter_context(ingest(redis, INSTANCES=INSTANCES_SETTING)).wait_ready()
        targets.append(Target(name, process, Store(redis.url), redis=redis))
    return targets


def _start_peer(stack: ExitStack, *arguments: str) -> Process:
    port = free_port()
    return stack.enter_context(Process(PEER, (str(port), *arguments), port=port)).wait_ready()


async def _load(
    report: Report, arguments: argparse.Namespace, client: Client, targets: list[Target]
) -> None:
    webhooks = Webhooks()
    for number in range(arguments.rounds):
        for target in targets:
            port = target.process.port
            sent = await client(port, webhooks, arguments.connections, arguments.seconds)
            target.sent.append(sent)
            report.say(f"round {number + 1}: {target.name}: {sent.per_s:,.0f} requests/s")
            await asyncio.sleep(SETTLE_S)


def _check(target: Target, connections: int) -> None:
    """
    Every answered webhook is one entry; beyond those only what a stopped client had on its way.

    Raises:
        Void: it is not so.
    """
    if refused := sum(sent.refused for sent in target.sent):
        raise Void(f"{target.name}: {refused} webhooks were refused")
    if target.store is None:
        return
    answered, stored = sum(sent.answered for sent in target.sent), target.stored()
    if not answered <= stored <= answered + connections * len(target.sent):
        raise Void(f"{target.name}: {answered} webhooks were answered, {stored} are stored")
    if target.stream is None:
        _check_counts(target, stored)


def _check_counts(target: Target, stored: int) -> None:
    samples = target.process.scrape()
    accepted = samples.total("messages_accepted_total")
    others = ("duplicate_total", "ignored_total")
    other = sum(samples.total(f"messages_{name}") for name in others)
    if accepted != stored or other:
        raise Void(f"{target.name}: counted {accepted:g} accepted and {other:g} others of {stored}")


def _add_rates(report: Report, targets: list[Target]) -> None:
    rows: dict[str, Row] = {}
    for target in targets:
        rate = median([sent.per_s for sent in target.sent])
        rows[target.name] = report.add(target.name, rate, "requests/s")
    for name, peer, limit in REACHES:
        if peer in rows:
            reach = Reach(limit=limit, at_least=True, of_ratio=True)
            value, against = rows[name].value, rows[peer]
            report.add(f"{name} / {peer}", value, "requests/s", against=against, reach=reach)
    for target in targets:
        p99_ms = median([sent.p99_ms for sent in target.sent])
        report.add(f"{target.name}, request p99", p99_ms, "ms")
        answered = sum(sent.answered for sent in target.sent)
        for what, used_s in target.used_s().items():
            each = (used_s - target.idle_s[what]) / answered * 1e6
            report.add(f"{target.name}, CPU of {what}", each, "us/request")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.ingest", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="of one server's turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    arguments = parser.parse_args()
    run_bench("ingest", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
