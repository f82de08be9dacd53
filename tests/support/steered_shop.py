"""A deployment whose instance is steered, and what its workers have made of that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from shared.steering import Value
from shared.steering_store import SteeringStore
from tests.support.deployment import INSTANCE, Deployment, RunningWorker, deployment
from tests.support.handler_server import HandlerServer
from tests.support.pipes import running_pipe
from tests.support.waiting import eventually

FOREVER_MS = 3_600_000
"""The wait of windows that time must not close in a test."""


class Steered:
    """A deployment whose instance is steered."""

    def __init__(self, shop: Deployment, store: SteeringStore, server: HandlerServer) -> None:
        self.shop = shop
        self.store = store
        self.server = server

    async def set(self, instance: str = INSTANCE, **changes: Value | None) -> None:
        """Set values at run time."""
        await self.store.change(instance, changes)

    def calls_of(self, user: str, instance: str = INSTANCE) -> list[tuple[str, str]]:
        """Text and reason of each window of a user that was handed over."""
        return [
            (call.json["text"], call.json["closed_by"])
            for call in self.server.calls
            if (call.json["instance"], call.json["user"]) == (instance, user)
        ]

    async def called(self, user: str, *expected: tuple[str, str]) -> None:
        """Wait until these windows of a user, and no others, were handed over."""
        await eventually(lambda: len(self.calls_of(user)) >= len(expected), f"{expected}")
        assert self.calls_of(user) == list(expected)


@asynccontextmanager
async def steered(
    redis_url: str, prefix: str, server: HandlerServer | None = None, **changes: Any
) -> AsyncIterator[Steered]:
    """No worker yet; windows close with their 50th message, or never."""
    settings = {"max_wait_ms": FOREVER_MS, "max_messages": 50, **changes}
    async with (
        server or HandlerServer() as handler,
        deployment(redis_url, prefix, handler=handler.url, **settings) as shop,
        running_pipe(redis_url) as pipe,
    ):
        yield Steered(shop, SteeringStore(pipe, shop.keys), handler)


def open_sizes(*workers: RunningWorker) -> dict[str, int]:
    """How many messages each open window has gathered, by user."""
    return {
        user: len(state.entries)
        for worker in workers
        for partition in worker.partitions.values()
        for (_, user), state in partition.memory.open.items()
    }


def held_back(users: Iterable[str], *workers: RunningWorker) -> bool:
    """Whether a closed window of each of these users is held back by a pause."""
    paused = [one.memory.paused for worker in workers for one in worker.partitions.values()]
    return all(any((INSTANCE, user) in one._held for one in paused) for user in users)


async def balanced(*workers: RunningWorker) -> None:
    """Wait until two workers have two partitions each."""
    await eventually(lambda: [len(w.owned) for w in workers] == [2, 2], "2 partitions each")


async def pause(steer: Steered, *workers: RunningWorker) -> None:
    """Pause the instance: what comes then is held back, for each has heard of it."""
    await steer.set(paused=True)

    def are_paused() -> bool:
        return all(one.worker._steersman._steering.is_paused(INSTANCE, None) for one in workers)

    await eventually(are_paused, "workers that know of the pause")


def audits_failed(worker: RunningWorker) -> float:
    """How often this worker's audits have found something."""
    name = "inturn_audits_failed_total"
    families = worker.metrics.registry.collect()
    return sum(one.value for each in families for one in each.samples if one.name == name)
