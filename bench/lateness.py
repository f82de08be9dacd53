"""
How long after its due time a window is started, while messages keep coming at a steady rate.

    python -m bench.lateness [--rates 500,2000,8000] [--seconds 15]

Messages go to ingest over HTTP, at their time whatever the answers; one worker answers by echo.
Each is a webhook, but above ``WEBHOOKS_PER_S`` many share a request of the API: the sender costs
CPU, too.
Users write at random, so some windows close by time and some with their fifth message. Both ends
of a lateness are Redis's time: when the window was due, and when its start script ran.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.figures import percentile
from bench.load import Paced, Webhooks, send_at_rate
from bench.payloads import INSTANCE, INSTANCES_SETTING, user_digits
from bench.report import Reach, Report, Void, run_bench
from bench.servers import Process, consumer, cpu_s, ingest, redis_server
from bench.store import JOURNAL_MS, Place, Store
from shared.keys import conversation_hash
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

MAX_WAIT_MS = 2000
"""A quarter of the default, so that a short run holds many windows; lateness does not know it."""

USERS_PER_RATE = 0.5
"""Two messages a second from each user: a window gathers five in about its two seconds."""

GENERATOR_LATE_S = 0.1
"""The median send may be so late before the rate was not what it is called."""

WEBHOOKS_PER_S = 4000
BULK = 16
"""Messages in a request of the API."""

REACH_MS = {500: 15.0, 2000: 25.0, 8000: 50.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one rate gave."""

    late_ms: Sequence[float]
    windows: int
    messages: int
    cpu_s: dict[str, float]


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """Each rate by itself, on new servers."""
    report.note(f"{arguments.seconds:g} s each, MAX_WAIT_MS {MAX_WAIT_MS}, one instance")
    report.note("sender, ingest, worker and Redis share the CPUs")
    report.note(f"above {WEBHOOKS_PER_S:,} messages/s {BULK} share a request of the API")
    for rate in arguments.rates:
        try:
            run = await _measure_rate(rate, arguments.seconds)
        except Void as error:
            report.leave_out(f"{rate:,} messages/s", error)
            continue
        report.say(f"{rate} messages/s: {run.windows} windows of {run.messages} messages")
        name = f"{rate:,} messages/s"
        limit_ms = REACH_MS.get(rate)
        reach = Reach(limit=limit_ms) if limit_ms else None
        report.add(f"{name}, lateness p50", percentile(run.late_ms, 0.5), "ms")
        report.add(f"{name}, lateness p99", percentile(run.late_ms, 0.99), "ms", reach=reach)
        report.add(f"{name}, lateness max", max(run.late_ms), "ms")
        report.add(f"{name}, windows", run.windows, "windows")
        for what, used_s in run.cpu_s.items():
            each = used_s / run.messages * 1e6
            report.add(f"{name}, CPU of {what}", each, "us/message")


async def _measure_rate(rate: int, seconds: float) -> Run:
    webhooks = Webhooks(users=round(rate * USERS_PER_RATE))
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis:
        late = Path(folder, "late")
        store = Store(redis.url)
        with _recording_consumer(redis, late) as worker, _ingest(redis) as edge:
            worker.wait_ready()
            edge.wait_ready()
            await eventually(lambda: _owns_all(worker, store), "a worker that owns all partitions")
            processes = {"ingest": edge.pid, "worker": worker.pid, "Redis": redis.pid}
            before = {what: cpu_s(pid) for what, pid in processes.items()}
            bulk = 1 if rate <= WEBHOOKS_PER_S else BULK
            sent = await send_at_rate(edge.port, webhooks, per_s=rate, seconds=seconds, bulk=bulk)
            used = {what: cpu_s(pid) - before[what] for what, pid in processes.items()}
            await store.wait_finished()
            cut = int(worker.scrape().total("windows_closed_total"))
            worker.stop()
        _check_sender(sent)
        places = list(_places(sent, webhooks))
        store.check_finished(places, cut=cut)
        late_ms = _recorded_ms(late)
    return Run(late_ms=late_ms, windows=cut, messages=len(places), cpu_s=used)


def _recording_consumer(redis: RedisServer, late: Path) -> Process:
    return consumer(
        redis,
        module="bench.processes.recording_consumer",
        arguments=(str(late),),
        MAX_WAIT_MS=str(MAX_WAIT_MS),
        RETENTION_MS=str(JOURNAL_MS),
    )


def _ingest(redis: RedisServer) -> Process:
    return ingest(redis, INSTANCES=INSTANCES_SETTING)


def _recorded_ms(late: Path) -> list[float]:
    return [1000 * float(line) for line in late.read_text(encoding="ascii").split()]


def _owns_all(worker: Process, store: Store) -> bool:
    return worker.scrape().total("owned_partitions") == store.keys.partitions


def _check_sender(sent: Paced) -> None:
    """
    Did the messages come at the rate?

    Raises:
        Void: one was refused, or they came late.
    """
    if sent.refused:
        raise Void(f"{sent.refused} webhooks were refused")
    late_s = percentile(sent.late_s, 0.5)
    if late_s > GENERATOR_LATE_S:
        raise Void(f"the sender was {late_s:.2f} s late: this machine does not reach the rate")


def _places(sent: Paced, webhooks: Webhooks) -> Iterator[Place]:
    for first, body in sent.answers:
        for number, accepted in enumerate(orjson.loads(body)["accepted"], first):
            who = conversation_hash(INSTANCE, user_digits(webhooks.user(number)))
            yield who, accepted["entry_id"]


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.lateness", description=__doc__)
    parser.add_argument(
        "--rates",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[500, 2000, 8000],
    )
    parser.add_argument("--seconds", type=float, default=15)
    arguments = parser.parse_args()
    run_bench("lateness", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
