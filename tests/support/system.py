"""
inturn as processes around a ledger: one ingest, as many consumers as a test starts, a handler.

    async with system(redis_url, prefix, tmp_path, max_wait_ms=1500) as made:
        worker = await made.consumer()
        await made.send_rounds(users, 5, pause_s=0.3)
        await made.all_handled()
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.support.clients import look_into
from tests.support.contents import leftovers, replies
from tests.support.handler_server import HandlerServer
from tests.support.ledger import Ledger, LedgerRules, Who
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

USERS_PER_REQUEST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """
    What runs, and the ledger of what went in and came out.

    ``consumer`` starts one more, with options of ``ServiceProcess``.
    """

    redis: Redis
    prefix: str
    ingest: ServiceProcess
    ledger: Ledger
    rules: LedgerRules
    session: aiohttp.ClientSession
    consumer: Callable[..., Coroutine[Any, Any, ServiceProcess]]

    async def send(self, whom: Sequence[Who]) -> None:
        """One message of each of ``whom``, in one request."""
        await self.ledger.send(self.session, self.ingest.url, whom)

    async def send_rounds(self, users: Sequence[Who], rounds: int, pause_s: float) -> None:
        """``rounds`` messages of each user, each after the answer to the one before."""

        async def send_all(slice_: Sequence[Who]) -> None:
            for _ in range(rounds):
                await self.send(slice_)
                await asyncio.sleep(pause_s)

        async with asyncio.TaskGroup() as group:
            for at in range(0, len(users), USERS_PER_REQUEST):
                group.create_task(send_all(users[at : at + USERS_PER_REQUEST]))

    async def all_handled(self, limit_s: float = 40.0, *, may_outlive: bool = False) -> None:
        """
        Wait until every message was handled and Redis is empty, then compare.

        ``may_outlive``: a worker was taken for dead that lives, so calls of its may come late.
        """
        ledger = self.ledger

        async def is_over() -> bool:
            if ledger.handled_count != ledger.accepted_count:
                return False
            try:
                return not await leftovers(self.redis, self.prefix)
            except RedisError:
                return False

        await eventually(is_over, f"{ledger.accepted_count} messages", limit_s)
        problems = ledger.problems(self.rules)
        assert not problems, "\n".join(problems[:20])
        assert may_outlive or not ledger.outlived, f"late calls: {ledger.outlived[:20]}"

    async def assert_one_reply_per_window(self) -> None:
        """The outbox, where these replies stay, has each window's once."""
        values = await replies(self.redis, self.prefix)
        assert len(values) == len(self.ledger.window_ids)
        for window_id in self.ledger.window_ids:
            assert sum(window_id.encode() in value for value in values) == 1


@asynccontextmanager
async def system(
    redis_url: str,
    prefix: str,
    folder: Path,
    *,
    look_at: str | None = None,
    ingest_command: Sequence[str] = (),
    **settings: Any,
) -> AsyncIterator[System]:
    """
    A running ingest and the handler; everything is killed at the end.

    ``look_at``: where to look into Redis, if ``redis_url`` names Sentinels. ``ingest_command``:
    runs ingest through a program of the caller's own.
    """
    ledger = Ledger()
    async with AsyncExitStack() as stack:
        handler = await stack.enter_async_context(HandlerServer(ledger.answer))
        settings = {
            "redis_url": redis_url,
            "prefix": prefix,
            "handler": handler.url,
            "lease_ms": 2500,
            # the naive cutter needs every entry id, and a spooled message is answered without
            "on_outage": "reject",
            **settings,
        }
        redis = look_into(look_at or redis_url)
        stack.push_async_callback(redis.aclose)
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def consumer(**options: Any) -> ServiceProcess:
            return await stack.enter_async_context(
                ServiceProcess("consumer", folder, settings, **options)
            )

        ingest = await stack.enter_async_context(
            ServiceProcess("ingest", folder, settings, command=ingest_command)
        )
        yield System(
            redis=redis,
            prefix=prefix,
            ingest=ingest,
            ledger=ledger,
            rules=LedgerRules(max_wait_ms=settings["max_wait_ms"]),
            session=session,
            consumer=consumer,
        )
