"""
What it costs all other instances that one floods: from a message's append to its window's finish.

    python -m bench.fair [--seconds 12] [--rounds 3]

Sixteen instances have the same share of messages; then one of them sends fifty times its share as
well, which is more than the worker's handlers can take. Each message is a window of its own, so
that nobody waits for a user's next message. Both ends are Redis's times: of the entry, and of the
finish in the journal. Quiet and flooded runs take turns, and the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.drain import settle, windows_consumer
from bench.figures import median, percentile
from bench.payloads import message_maker, with_ids
from bench.report import Reach, Report, Void, run_bench
from bench.servers import redis_server
from bench.store import Place, Store
from ingest.append import RedisAppender
from shared.keys import conversation_hash
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import Message
from shared.settings import Settings
from tests.support.pipes import running_pipe

INSTANCES = 16
FLOOD = 50
"""How many shares the flooding instance sends, beside its own."""

TICK_S = 0.01

HANDLERS = "bench.processes.handlers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """
    What stands between a window and its handler: ``settings`` of the worker, ``share`` of each
    instance in messages a second. ``at_once``: the flood comes all in the first second.
    """

    name: str
    settings: dict[str, str]
    share: int
    at_once: bool = False


SCENES = (
    Scene(
        name="24 slots, 50 ms each",
        settings={"HANDLER": f"python:{HANDLERS}:slow", "HANDLER_CONCURRENCY": "24"},
        share=10,
    ),
    Scene(
        name="64 threads, 50 ms each",
        settings={"HANDLER": f"python:{HANDLERS}:blocking"},
        share=25,
    ),
    Scene(
        name="256 slots, 50 ms each, flood at once",
        settings={"HANDLER": f"python:{HANDLERS}:slow"},
        share=20,
        at_once=True,
    ),
)


@dataclass(slots=True)
class Sent:
    """Where the messages of all instances but the first are, and of the first one's flood."""

    others: set[Place] = field(default_factory=set)
    flood: set[Place] = field(default_factory=set)

    def note(self, message: Message, entry_id: str | None) -> None:
        """
        A message is in Redis.

        Raises:
            Void: it is not.
        """
        if entry_id is None:
            raise Void(f"message {message.message_id} was not taken")
        of = self.flood if message.instance == name_of(0) else self.others
        of.add((conversation_hash(message.instance, message.user), entry_id))


async def measure(report: Report, arguments: argparse.Namespace) -> None:
    """Each scene quiet and flooded, in turns."""
    report.note(f"{INSTANCES} instances; one sends {FLOOD} shares more; one worker, 16 partitions")
    report.note("sender, worker and Redis share the CPUs")
    for scene in SCENES:
        try:
            await _measure_scene(report, scene, arguments)
        except Void as error:
            report.leave_out(scene.name, error)


async def _measure_scene(report: Report, scene: Scene, arguments: argparse.Namespace) -> None:
    p99s: dict[int, list[float]] = {0: [], FLOOD: []}
    flood_ms: list[float] = []
    for _ in range(arguments.rounds):
        for flood, of_rounds in p99s.items():
            others, flooding = await _run(scene, flood, arguments.seconds)
            of_rounds.append(percentile(others, 0.99))
            if flooding:
                flood_ms.append(median(flooding))
            report.say(f"{scene.name}, flood {flood}: p99 {of_rounds[-1]:.0f} ms")
    quiet = report.add(f"{scene.name}: quiet, p99 of 15", median(p99s[0]), "ms")
    reach = Reach(limit=3, of_ratio=True)
    name = f"{scene.name}: flooded, p99 of the other 15"
    report.add(name, median(p99s[FLOOD]), "ms", against=quiet, reach=reach)
    report.add(f"{scene.name}: flooded, p50 of the flood", median(flood_ms), "ms")


async def _run(scene: Scene, flood: int, seconds: float) -> tuple[list[float], list[float]]:
    """Times of the other instances' messages, and of the first one's if it floods, in ms."""
    with redis_server() as redis:
        store = Store(redis.url)
        with windows_consumer(redis, MAX_MESSAGES="1", **scene.settings) as worker:
            await settle([worker], store)
            began_ms = store.now_ms()
            sent = await send(store, _messages(scene, flood, seconds))
            took_s = (store.now_ms() - began_ms) / 1000
            await store.wait_finished()
            cut = int(worker.scrape().total("windows_closed_total"))
            worker.stop()
        store.check_finished([*sent.others, *sent.flood], cut=cut)
        if took_s > seconds + 1:
            raise Void(f"what should take {seconds:g} s was sent in {took_s:.1f} s")
        spans = dict(store.spans_ms())
    others = [spans[place] for place in sent.others]
    return others, [spans[place] for place in sent.flood] if flood else []


def _messages(scene: Scene, flood: int, seconds: float) -> list[tuple[float, Message]]:
    """Each with its time from the beginning, in order; every user writes once."""
    pattern = message_maker()
    due: list[tuple[float, int]] = []
    for number in range(INSTANCES):
        count = round(scene.share * seconds)
        due += [((at + number / INSTANCES) / scene.share, number) for at in range(count)]
    flooding = round(flood * scene.share * seconds)
    over_s = 1.0 if scene.at_once else seconds
    due += [(at * over_s / flooding, 0) for at in range(flooding)]
    return [
        (at_s, with_ids(pattern, name_of(instance), number, number))
        for number, (at_s, instance) in enumerate(sorted(due))
    ]


async def send(store: Store, messages: Sequence[tuple[float, Message]]) -> Sent:
    """Append them at their times, whatever the answers."""
    sent = Sent()
    dedupe_ms: int = Settings.model_fields["dedupe_ms"].default
    async with running_pipe(store.url) as pipe, asyncio.TaskGroup() as tasks:
        appender = RedisAppender(pipe, store.keys, dedupe_ms, IngestMetrics(InstanceLabels(1)))

        async def append(due: list[Message]) -> None:
            for message, accepted in zip(due, await appender.append(due), strict=True):
                sent.note(message, accepted.entry_id)

        began_s, at = time.monotonic(), 0
        while at < len(messages):
            due: list[Message] = []
            while at < len(messages) and messages[at][0] <= time.monotonic() - began_s:
                due.append(messages[at][1])
                at += 1
            if due:
                tasks.create_task(append(due))
            await asyncio.sleep(TICK_S)
    return sent


def name_of(instance: int) -> str:
    """As it is in Redis; the first one floods."""
    return f"instance-{instance}"


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="bench.fair", description=__doc__)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    run_bench("fair", lambda report: measure(report, arguments))


if __name__ == "__main__":
    main()
