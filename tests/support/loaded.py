"""
The load of the fault tests, in small: 200 users who write in turn while something breaks.

    async with loaded(redis.url, prefix, tmp_path, chance) as made:
        workers = [await made.consumer(), await made.consumer()]
        sending = begin_sending(made)
        ...  # break something
        await settled(made, sending)
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from tests.support.contents import leftovers
from tests.support.handler_server import HandlerCall
from tests.support.ledger import Who
from tests.support.system import System, system
from tests.support.waiting import eventually

LEASE_MS = 1500
USERS: list[Who] = [(f"shop-{number % 8}", f"user-{number}") for number in range(200)]
ROUNDS = 15
ALIVE_S = 5.0
"""The goal; tests wait three times as long."""


def some_time(chance: random.Random) -> Callable[[HandlerCall], Awaitable[None]]:
    """What a handler takes for each call: 5 to 80 ms."""

    async def hold(_call: HandlerCall) -> None:
        await asyncio.sleep(chance.uniform(0.005, 0.08))

    return hold


@asynccontextmanager
async def loaded(
    redis_url: str, prefix: str, folder: Path, chance: random.Random, **settings: Any
) -> AsyncIterator[System]:
    """
    A system whose handler takes 5 to 80 ms and fails 2 % of first attempts.

    One request in ten is sent twice. What Redis does not take is refused, so that the ledger
    knows by each answer what was accepted.
    """
    wanted: dict[str, Any] = {
        "max_wait_ms": 600,
        "max_attempts": 10,
        "retry_base_ms": 50,
        "partitions": 8,
    }
    wanted |= {"lease_ms": LEASE_MS, "on_outage": "reject"}
    async with system(redis_url, prefix, folder, **(wanted | settings)) as made:
        made.ledger.hold = some_time(chance)
        made.ledger.fails = lambda call: call.json["attempt"] == 1 and chance.random() < 0.02
        made.ledger.sends_again = lambda: chance.random() < 0.1
        yield made


def begin_sending(
    made: System, rounds: int = ROUNDS, over: asyncio.Event | None = None
) -> asyncio.Task[int]:
    """
    Every user writes ``rounds`` times, 0.2 s after each answer; the number of messages.

    ``over``: and goes on until it is set, for faults that come one after the other, each when the
    one before is over, however long that takes.
    """

    async def send() -> int:
        await made.send_rounds(USERS, rounds, pause_s=0.2)
        sent = len(USERS) * rounds
        while over is not None and not over.is_set():
            await made.send_rounds(USERS, 1, pause_s=0.2)
            sent += len(USERS)
        return sent

    return asyncio.create_task(send(), name="sending")


async def some_at_work(made: System, chance: random.Random) -> None:
    """A random moment at which handlers run."""
    await asyncio.sleep(chance.uniform(0.1, 0.6))
    await eventually(lambda: len(made.ledger.in_hand) >= 10, "windows in hand")


async def settled(made: System, sending: asyncio.Task[int]) -> None:
    """Let the load end, then compare everything."""
    sent = await sending
    await made.all_handled(60.0)
    assert made.ledger.accepted_count >= sent
    await made.assert_one_reply_per_window()


async def alive_again(made: System, user: str) -> float:
    """Seconds until the message of a user who is new has been handled, its wait taken off."""
    who = ("probe", user)
    began_s = time.monotonic()
    await made.send([who])
    await eventually(
        lambda: any(call.who == who for call in made.ledger.calls),
        "a window handled after the fault",
        3 * ALIVE_S,
    )
    return time.monotonic() - began_s - made.rules.max_wait_ms / 1000


async def drained(made: System) -> None:
    """Wait until nothing unfinished is in Redis."""

    async def is_so() -> bool:
        try:
            return not await leftovers(made.redis, made.prefix)
        except RedisError:
            return False

    await eventually(is_so, "an empty Redis", 60.0)


async def is_unready(made: System, reason: str) -> None:
    """Wait until ingest's probe says that it is not ready, and why."""

    async def says_so() -> bool:
        async with made.session.get(f"{made.ingest.url}/readyz") as answer:
            return answer.status == 503 and reason in await answer.text()

    await eventually(says_so, f"an ingest that says {reason}")
