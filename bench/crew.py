"""``inturn ingest --processes N`` as a bench sees it: one port, and what each process has taken."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.payloads import INSTANCES_SETTING
from bench.report import Void
from bench.servers import HOST, READY_S, Process, cpu_s, redis_server, scrape, status_of
from bench.store import Store
from ops.chaos.waiting import NotInTimeError, wait_until
from tests.support.redis_server import RedisServer, free_port

READY = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Seconds of CPU: of all its processes, and of its Redis."""

    processes_s: float
    redis_s: float

    def __sub__(self, other: Used) -> Used:
        processes_s = self.processes_s - other.processes_s
        return Used(processes_s=processes_s, redis_s=self.redis_s - other.redis_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestCrew:
    """So many processes on one port, all ready; ``parent`` only keeps them."""

    parent: Process
    pids: tuple[int, ...]
    metrics_ports: tuple[int, ...]
    redis: RedisServer
    store: Store

    @property
    def port(self) -> int:
        """What all of them serve."""
        return self.parent.port

    def used(self) -> Used:
        """Since they started."""
        return Used(processes_s=sum(map(cpu_s, self.pids)), redis_s=cpu_s(self.redis.pid))

    def taken(self) -> list[int]:
        """Webhooks that each has taken, those of messages that were there already too."""
        names = ("messages_accepted_total", "messages_duplicate_total")
        samples = [scrape(port) for port in self.metrics_ports]
        return [sum(int(of_one.total(name)) for name in names) for of_one in samples]

    def check(self, *, answered: int, on_the_way: int, repeated: int) -> None:
        """
        Every answered message is one entry, and the processes counted what is there.

        ``answered``: webhooks answered 2xx, ``repeated`` of them of messages that were sent before;
        ``on_the_way``: so many more a client had on its way when it stopped, at most.

        Raises:
            Void: with what does not add up.
        """
        if self.pids != _children(self.parent.pid):
            raise Void(f"a process was replaced: {self.parent.log()[-2000:]}")
        stored, known = self.store.backlog(self.store.streams()), self.store.known()
        if stored != known:
            raise Void(f"{stored} entries are stored, of {known} messages")
        if not 0 <= stored - (answered - repeated) <= on_the_way:
            raise Void(f"{answered - repeated} messages were answered, {stored} are stored")
        if (taken := sum(self.taken())) != stored + repeated:
            raise Void(f"counted {taken} messages of {stored} and {repeated} sent again")


@contextmanager
def on_one_cpu(crew: IngestCrew) -> Iterator[None]:
    """All its processes on one CPU; its Redis, and what the block starts, on the others."""
    mine = os.sched_getaffinity(0)
    one = {min(mine)}
    others = mine - one
    if not others:
        raise Void("there is one CPU: processes, load and Redis cannot be kept apart")
    os.sched_setaffinity(0, others)
    _place(crew.pids, one)
    _place((crew.redis.pid,), others)
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)
        _place((*crew.pids, crew.redis.pid), mine)


@contextmanager
def ingest_crew(count: int) -> Iterator[IngestCrew]:
    """``count`` processes and a Redis; ended with the block."""
    port = free_port()
    with redis_server() as redis:
        settings = {
            "REDIS_URL": redis.url,
            "HOST": HOST,
            "PORT": str(port),
            "METRICS_PORT": "0",
            "SPOOL_DIR": str(redis.folder / "spool"),
            "LOG_FORMAT": "json",
            "INSTANCES": INSTANCES_SETTING,
        }
        env = {f"INTURN_{name}": value for name, value in settings.items()}
        arguments = ("ingest", "--processes", str(count))
        with Process("ops.cli", arguments, env=env, port=port) as parent:
            ports = _wait_ready(parent, count)
            yield IngestCrew(
                parent=parent,
                pids=_children(parent.pid),
                metrics_ports=ports,
                redis=redis,
                store=Store(redis.url),
            )


def _wait_ready(parent: Process, count: int) -> tuple[int, ...]:
    """
    The port on which each tells its metrics, once all are ready.

    Raises:
        Void: one is not after ``READY_S``.
    """

    def are_ready() -> bool:
        ports = _told_ports(parent)
        return len(ports) == count and all(status_of(port) == READY for port in ports)

    try:
        wait_until(are_ready, f"{count} ingest processes", READY_S)
    except NotInTimeError as error:
        raise Void(f"{error}: {parent.log()[-2000:]}") from error
    return _told_ports(parent)


def _told_ports(parent: Process) -> tuple[int, ...]:
    """Of each that listens, from the log that they share."""
    lines = [line for line in parent.log().splitlines() if '"process.listening"' in line]
    return tuple(int(json.loads(line)["metrics_port"]) for line in lines)


def _place(pids: Sequence[int], cpus: set[int]) -> None:
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cpus)


def _children(pid: int) -> tuple[int, ...]:
    told = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return tuple(sorted(map(int, told.split())))
