"""
How many webhooks ingest takes, beside servers that do less; and how long one append takes.

    python -m bench.ingest [--seconds 4] [--rounds 3] [--connections 64]

The servers take turns, so that a machine that slows down slows all of them, and the median of
each one's rounds counts. Verification, dedupe, metrics and the default log level are on.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.figures import median, percentile
from bench.load import Client, Connection, Sent, Webhooks, choose_client
from bench.payloads import INSTANCE, INSTANCES_SETTING, message_maker, with_ids
from bench.report import Reach, Report, Row, Void, run_bench
from bench.servers import Process, cpu_s, ingest, redis_server
from bench.store import Store
from ingest.append import RedisAppender
from shared.connect import Pipe
from shared.metrics import IngestMetrics, InstanceLabels
from shared.settings import Settings
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer, free_port

APPENDS = 2000
SETTLE_S = 0.5
"""What wrk left on its way when it stopped is served by then."""

PEER = "bench.processes.http_peer"
STREAM = "messages"
"""Where that peer adds."""

PARSE, XADD = "aiohttp that only parses", "aiohttp with one XADD per request"
INTURN, INTURN_AOF = "inturn", "inturn, AOF always"


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
    """Loaded servers first, then the idle one."""
    client_name, client = choose_client()
    report.note(f"client: {client_name}, {arguments.connections} connections")
    report.note("client, server and Redis share the CPUs; each waits for the others")
    with ExitStack() as stack:
        targets = _start(stack)
        await _load(report, arguments, client, targets)
        for target in targets:
            _check(target, arguments.connections)
        _add_rates(report, targets)
    await _measure_append(report)


def _start(stack: ExitStack) -> list[Target]:
    targets = [Target(PARSE, _start_peer(stack, "parse"))]
    redis = stack.enter_context(redis_server())
    process = _start_peer(stack, "xadd", redis.url)
    targets.append(Target(XADD, process, Store(redis.url), STREAM, redis))
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
    for name, limit in ((INTURN, 0.6), (INTURN_AOF, 0.5)):
        reach = Reach(limit=limit, at_least=True, of_ratio=True)
        value = rows[name].value
        report.add(f"{name} / parse", value, "requests/s", against=rows[PARSE], reach=reach)
    reach = Reach(limit=1.5, at_least=True, of_ratio=True)
    value = rows[INTURN].value
    report.add(f"{INTURN} / XADD", value, "requests/s", against=rows[XADD], reach=reach)
    for target in targets:
        p99_ms = median([sent.p99_ms for sent in target.sent])
        report.add(f"{target.name}, request p99", p99_ms, "ms")
        answered = sum(sent.answered for sent in target.sent)
        for what, used_s in target.used_s().items():
            each = (used_s - target.idle_s[what]) / answered * 1e6
            report.add(f"{target.name}, CPU of {what}", each, "us/request")


async def _measure_append(report: Report) -> None:
    """One message at a time on a server that does nothing else."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        process = stack.enter_context(ingest(redis, INSTANCES=INSTANCES_SETTING)).wait_ready()
        store = Store(redis.url)
        async with running_pipe(redis.url) as pipe:
            append_ms, ping_ms = await _time_appends(store, pipe)
        request_ms = await _time_requests(process.port)
    reach = Reach(limit=1.0)
    ping = report.add("PING, idle, p50", percentile(ping_ms, 0.5), "ms")
    value = percentile(append_ms, 0.5)
    report.add("append of one message, idle, p50", value, "ms", against=ping, reach=reach)
    report.add("append of one message, idle, p99", percentile(append_ms, 0.99), "ms")
    report.add("webhook request, idle, p50", percentile(request_ms, 0.5), "ms")


async def _time_appends(store: Store, pipe: Pipe) -> tuple[list[float], list[float]]:
    """Appends and PINGs in turn on one connection, in ms."""
    dedupe_ms: int = Settings.model_fields["dedupe_ms"].default
    appender = RedisAppender(pipe, store.keys, dedupe_ms, IngestMetrics(InstanceLabels(1)))
    pattern = message_maker()
    appends, pings = [], []
    for number in range(APPENDS):
        message = with_ids(pattern, INSTANCE, number, number)
        appends.append(await _time_ms(lambda message=message: appender.append([message])))  # type: ignore[misc]
        pings.append(await _time_ms(lambda: pipe.call("PING")))
    if store.backlog(store.streams()) != APPENDS:
        raise Void("not every append is stored")
    return appends, pings


async def _time_requests(port: int) -> list[float]:
    """Webhooks one by one over one connection, in ms."""
    webhooks = Webhooks()
    webhooks.take(APPENDS)
    connection = await Connection.open(port)
    took = []
    for _ in range(APPENDS):
        body = webhooks.body(webhooks.take(1))
        took.append(await _time_ms(lambda body=body: connection.post(body)))  # type: ignore[misc]
    connection.close()
    return took


async def _time_ms(call: Callable[[], Awaitable[object]]) -> float:
    began_s = time.perf_counter()
    await call()
    return (time.perf_counter() - began_s) * 1000


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
