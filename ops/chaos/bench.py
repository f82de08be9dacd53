"""
The bench: a private Redis, ingest processes, workers, the outside world, and the ledger between.

    async with bench(redis, folder, chance) as made:
        made.writers.start()
        ...  # faults
        await made.settle()
        problems = made.ledger.problems(made.rules)
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ops.chaos import asking, contents
from ops.chaos.afterwards import HEAL_S
from ops.chaos.claims import Claims
from ops.chaos.endpoint import Endpoint
from ops.chaos.history import read_history
from ops.chaos.leaks import file_names, find_leaks, log_texts
from ops.chaos.ledger import Ledger
from ops.chaos.load import API_TOKEN, PHONE_PREFIX, TEXT_MARK, Load, Sender, Writers
from ops.chaos.private_redis import PrivateRedis
from ops.chaos.processes import Service, ServiceProcess
from ops.chaos.proxy import TcpProxy
from ops.chaos.rules import Rules
from ops.chaos.starvation import Starvation, noted_starvation
from ops.chaos.waiting import NotInTimeError, eventually

PREFIX = "chaos"
PROVIDER_TOKEN = "planted-key-93f2"
PLANTED = (API_TOKEN, PROVIDER_TOKEN, PHONE_PREFIX, TEXT_MARK)

LEASE_MS = 1500
QUICK: dict[str, Any] = {
    "max_wait_ms": 600,
    "grace_ms": 400,
    "max_attempts": 6,
    "retry_base_ms": 50,
    "partitions": 8,
    "lease_ms": LEASE_MS,
    "drain_ms": 3000,
}
"""Everything shorter than the defaults, in proportion: a run of minutes is to hold many faults."""

Spawn = Callable[[Service, str], tuple[Sequence[str], dict[str, str]]]
"""The program (after ``python``) and environment of a service of that name."""


def _plain(_service: Service, _name: str) -> tuple[Sequence[str], dict[str, str]]:
    return (), {}


@dataclass(slots=True, kw_only=True)
class Options:
    """
    How many of what; the settings besides ``QUICK``.

    ``spawn`` runs services through other programs. The slots named in ``proxied`` reach Redis
    through a proxy each. ``notes_starvation``: what the machine does to processes explains
    things, too.
    """

    ingests: int = 2
    workers: int = 3
    load: Load = field(default_factory=Load)
    settings: dict[str, Any] = field(default_factory=dict)
    notes_starvation: bool = True
    spawn: Spawn = _plain
    proxied: tuple[str, ...] = ()
    heal_s: float = HEAL_S


class Bench:
    """What runs. Processes are known by slot (``w1``, ``i1``); each start gets a name anew."""

    def __init__(
        self,
        redis: PrivateRedis,
        folder: Path,
        chance: random.Random,
        options: Options,
        stack: AsyncExitStack,
    ) -> None:
        self.redis_server = redis
        self.folder = folder
        self.chance = chance
        self.options = options
        self.settings = {**QUICK, **options.settings}
        self.rules = Rules(
            max_wait_ms=self.settings["max_wait_ms"],
            max_attempts=self.settings["max_attempts"],
            is_direct=self.settings.get("on_outage") == "direct",
        )
        self.ledger = Ledger()
        self.endpoint = Endpoint(self.ledger, chance)
        self.running: dict[str, ServiceProcess] = {}
        self.processes: list[ServiceProcess] = []
        self.redis: Redis = Redis.from_url(redis.url, protocol=2)
        self.urls: dict[str, str] = {}
        self.proxies: dict[str, TcpProxy] = {}
        self.recoveries_s: list[float] = []
        self._claims = Claims(chance)
        self._stack = stack
        self._starts = itertools.count(1)

    @property
    def lease_s(self) -> float:
        """A lease, in seconds."""
        return float(self.settings["lease_ms"]) / 1000

    @property
    def workers(self) -> dict[str, ServiceProcess]:
        """The consumers by slot."""
        return {slot: p for slot, p in self.running.items() if p.service == "consumer"}

    async def begin(self) -> None:
        """Start the world, then the services; inside, all partitions have an owner."""
        await self._stack.enter_async_context(self.endpoint)
        self._stack.push_async_callback(self.redis.aclose)
        for slot in self.options.proxied:
            proxy = TcpProxy(self.redis_server.url)
            self.proxies[slot] = await self._stack.enter_async_context(proxy)
        session = await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )
        self.sender = Sender(self.ledger, session, self.urls, self.chance)
        self.writers = Writers(self.sender, self.options.load, self.chance)
        slots = [(f"i{n}", "ingest") for n in range(1, self.options.ingests + 1)]
        slots += [(f"w{n}", "consumer") for n in range(1, self.options.workers + 1)]
        started = [self.spawn(slot, service) for slot, service in slots]  # type: ignore[arg-type]
        await asyncio.gather(*(process.ready() for process in started))
        await self.all_owned()
        if self.options.notes_starvation:
            watch = Starvation(self.ledger, self.lease_s, self._pids, lambda: self.redis_server.pid)
            await self._stack.enter_async_context(noted_starvation(watch))
        self.ledger.evidence.before = await self._snapshot()

    def respawn(self, slot: str) -> ServiceProcess:
        """Start what this slot had again; the one before has ended."""
        return self.spawn(slot, self.running[slot].service)

    def spawn(self, slot: str, service: Service) -> ServiceProcess:
        """Start a service for a slot that is free, under a name that was never used."""
        name = f"{slot}.{next(self._starts)}"
        command, env = self.options.spawn(service, slot)
        process = ServiceProcess(
            service, self.folder, self._settings_of(slot, name), name=name, command=command, env=env
        )
        self._stack.callback(process.kill)
        self.running[slot] = process
        self.processes.append(process)
        if service == "ingest":
            self.urls[slot] = process.url
        process.spawn()
        return process

    def _settings_of(self, slot: str, name: str) -> dict[str, Any]:
        instance = {
            "provider": "evolution",
            "base_url": self.endpoint.provider_url(name),
            "token": PROVIDER_TOKEN,
        }
        names = {instance for instance, _ in self.options.load.users()}
        return {
            "redis_url": self._redis_url(slot),
            "prefix": PREFIX,
            "api_token": API_TOKEN,
            "handler": self.endpoint.handler_url(name),
            "loop_limit": 100_000,
            **asking.SETTINGS,
            "instances": json.dumps(dict.fromkeys(sorted(names), instance)),
            **self.settings,
        }

    def _pids(self) -> dict[str, int]:
        return {process.name: process.pid for process in self.running.values()}

    def _redis_url(self, slot: str) -> str:
        return self.proxies[slot].url if slot in self.proxies else self.redis_server.url

    def taking(self, service: Service) -> AbstractAsyncContextManager[str]:
        """
        A slot of this service that no other fault has, drawn; waits until there is one.

        Where there are no workers, every process is both.
        """

        def slots() -> list[str]:
            wanted = service if self.options.workers else "ingest"
            return [slot for slot, p in self.running.items() if p.service == wanted]

        return self._claims.one_of(slots)

    def taking_network(self) -> AbstractAsyncContextManager[str]:
        """A slot with a proxy, in the same way."""
        return self._claims.one_of(lambda: list(self.proxies))

    def taking_redis(self) -> AbstractAsyncContextManager[str]:
        """Redis, in the same way."""
        return self._claims.one_of(lambda: ["redis"])

    async def all_owned(self, limit_s: float = 30.0) -> None:
        """Wait until each partition has an owner that runs; nothing where there are no workers."""
        if not self.options.workers:
            return
        await eventually(self._is_all_owned, "an owner of each partition", limit_s)

    async def _is_all_owned(self) -> bool:
        owners = await self.lease_owners()
        live = {process.worker_id for process in self.workers.values() if process.is_running()}
        return len(owners) == self.settings["partitions"] and set(owners.values()) <= live

    async def lease_owners(self) -> dict[int, str]:
        """The worker id that holds each partition's lease; empty while Redis is away."""
        with suppress(RedisError, OSError):
            return await contents.lease_owners(self.redis, PREFIX, self.settings["partitions"])
        return {}

    async def settle(self) -> None:
        """End the load, wait for the drain, and take down what Redis holds and held."""
        await self.writers.stop()
        await self.drained()
        evidence = self.ledger.evidence
        await self._collect()
        evidence.after = await self._snapshot()

    async def drained(self) -> None:
        """Wait until nothing is unfinished, ``heal_s`` at most, and note what then is."""
        evidence, began_s = self.ledger.evidence, time.monotonic()
        try:
            await eventually(self._is_drained, "a drained system", self.options.heal_s)
            evidence.drained_s = time.monotonic() - began_s
            evidence.left = {}
        except NotInTimeError:
            evidence.left = await self._left()

    async def _is_drained(self) -> bool:
        if not self.ledger.is_all_done():
            await asyncio.sleep(0.1)
            return False
        with suppress(RedisError, OSError, aiohttp.ClientError, TimeoutError):
            return not await self._left()
        return False

    async def _left(self) -> dict[str, int]:
        left = await contents.leftovers(self.redis, PREFIX)
        left["unsent replies"] = await contents.unsent(self.redis, PREFIX)
        for slot, process in self.running.items():
            if process.service == "ingest":
                left[f"spooled messages of {slot}"] = int(await process.metric("spool_messages"))
        return {what: count for what, count in left.items() if count}

    async def _collect(self) -> None:
        evidence = self.ledger.evidence
        history = read_history(self.redis_server.data, PREFIX)
        evidence.raw, evidence.outbox = history.raw, history.outbox
        evidence.dead = await contents.dead_letters(self.redis, PREFIX)
        keys = [key.decode(errors="replace") for key in await contents.key_names(self.redis)]
        places = [("key names", key) for key in keys]
        places += file_names(self.folder)
        places += log_texts(process.log for process in self.processes)
        for process in self.running.values():
            if process.is_running():
                await process.ready()  # one in the place of a dead one may still be at its start
                places.append((f"metrics of {process.name}", await process.metrics()))
        evidence.leaks = find_leaks(PLANTED, places)

    async def _snapshot(self) -> Any:
        files = {p.name: p.open_files() for p in self.running.values() if p.is_running()}
        return await contents.snapshot(self.redis, PREFIX, files)


@asynccontextmanager
async def bench(
    redis: PrivateRedis, folder: Path, chance: random.Random, options: Options | None = None
) -> AsyncIterator[Bench]:
    """A bench whose services are ready; everything is killed at the end."""
    async with AsyncExitStack() as stack:
        made = Bench(redis, folder, chance, options or Options(), stack)
        await made.begin()
        try:
            yield made
        finally:
            await made.writers.abort()
