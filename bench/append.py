"""
How long one append takes on a server that does nothing else, beside PING.

    python -m bench.append

An append is a message in its stream, known to dedupe and accounted for; appends and PINGs take
turns on one connection. A webhook is the same through ingest, from the request to its answer.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

from bench.figures import percentile
from bench.load import Connection, Webhooks
from bench.payloads import INSTANCE, INSTANCES_SETTING, message_maker, with_ids
from bench.report import Reach, Report, Void, run_bench
from bench.servers import ingest, redis_server
from bench.store import Store
from ingest.append import RedisAppender
from shared.connect import Pipe
from shared.metrics import IngestMetrics, InstanceLabels
from shared.settings import Settings
from tests.support.pipes import running_pipe

APPENDS = 2000


async def measure(report: Report) -> None:
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
    """Measure."""
    run_bench("append", measure)


if __name__ == "__main__":
    main()
