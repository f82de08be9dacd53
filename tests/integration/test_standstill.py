"""A process that stands still for longer than an answer may take hears what came meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
import uvloop

from ingest.append import RedisAppender
from shared.connect import Pipe
from shared.errors import BrokerUnavailable
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import Message
from tests.support.pipes import running_pipe

TIMEOUT_S = 0.8
ANSWERED_MS = 200
"""Redis answers so long after it was asked: while the process stands still."""

STILL_S = 2 * TIMEOUT_S

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """On the loop of the services, and on the one of whoever imports a part of them."""

    def run_on(work: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(work)

    return run_on


async def stand_still_behind(pipe: Pipe, prefix: str, *blocks_ms: int) -> asyncio.Future[Any]:
    """Ask for what Redis answers after each of ``blocks_ms``, and stand still once that is sent."""
    bell = f"{prefix}:bell"
    has_sent = asyncio.Event()
    await pipe.call_at(bell, "PING")
    pipe.on_batch = lambda _: has_sent.set()
    asked = asyncio.gather(
        *(pipe.call("XREAD", "BLOCK", block_ms, "STREAMS", bell, "$") for block_ms in blocks_ms)
    )
    await has_sent.wait()
    time.sleep(STILL_S)  # noqa: ASYNC251 - the loop is to stand still
    return asked


def test_what_came_meanwhile_is_heard(redis_url: str, prefix: str, run: Run) -> None:
    """
    The answer is there when the process goes on: nothing fails, and the connection stays.

    The one behind it, which is not there yet, has all its time.
    """

    async def check() -> None:
        async with running_pipe(redis_url, timeout_ms=int(TIMEOUT_S * 1000)) as pipe:
            connection = await pipe.call_at(f"{prefix}:bell", "CLIENT", "ID")
            behind_ms = int((STILL_S + TIMEOUT_S / 4) * 1000) - ANSWERED_MS
            asked = await stand_still_behind(pipe, prefix, ANSWERED_MS, behind_ms)
            assert await asked == [None, None]
            assert await pipe.call_at(f"{prefix}:bell", "CLIENT", "ID") == connection

    run(check())


def test_what_did_not_come_is_given_up(redis_url: str, prefix: str, run: Run) -> None:
    """One look at what is there, however often the process stands still: the limit stays one."""

    async def check() -> None:
        async with running_pipe(redis_url, timeout_ms=int(TIMEOUT_S * 1000)) as pipe:
            asked = await stand_still_behind(pipe, prefix, 60_000)
            began_s = time.monotonic()
            for _ in range(20):
                with suppress(TimeoutError, BrokerUnavailable):
                    await asyncio.wait_for(asyncio.shield(asked), TIMEOUT_S / 100)
                if asked.done():
                    break
                time.sleep(TIMEOUT_S / 4)  # noqa: ASYNC251
            assert time.monotonic() - began_s < TIMEOUT_S
            with pytest.raises(BrokerUnavailable):
                await asked

    run(check())


def test_an_append_is_not_refused_for_that(redis_url: str, prefix: str, run: Run) -> None:
    """Nor is one refused whose own limit was over meanwhile, though it is in Redis."""

    async def check() -> None:
        metrics = IngestMetrics(InstanceLabels(10))
        async with running_pipe(redis_url) as pipe:
            keys = Keys(prefix, 1)
            appender = RedisAppender(pipe, keys, 60_000, metrics, limit_s=TIMEOUT_S)
            bell = keys.partition(0).bell
            message = Message(instance="shop", user="ann", message_id="M1", received_at=1)
            await appender.append([message])
            blocking = ("XREAD", "BLOCK", ANSWERED_MS, "STREAMS", bell, "$")
            before = asyncio.ensure_future(pipe.call(*blocking))
            appended = asyncio.ensure_future(appender.append([message]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            time.sleep(STILL_S)  # noqa: ASYNC251
            [accepted] = await appended
            assert accepted.duplicate
            assert await before is None

    run(check())
