"""What a worker makes of Python functions that raise, block, or take no notice of their end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import functions
from tests.support.deployment import deployment
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def _fresh_functions() -> Iterator[None]:
    functions.calls.clear()
    functions.gate.clear()
    yield
    functions.gate.set()


async def test_reject_of_a_function_is_dead_at_once(redis_url: str, prefix: str) -> None:
    """``Reject`` out of a Python function is one attempt and a dead letter with its message."""
    handler = "python:tests.support.functions:reject"
    async with (
        deployment(redis_url, prefix, handler=handler, max_wait_ms=50) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "hello")
        await shop.finished()
        (letter,) = await shop.dead_letters()
        assert letter.error == "Reject: no such customer"
        assert len(functions.calls) == 1


async def test_retry_later_of_a_function_is_obeyed(redis_url: str, prefix: str) -> None:
    """Its second goes before the backoff of 40 ms, the error is kept, and then it answers."""
    handler = "python:tests.support.functions:later"
    async with (
        deployment(redis_url, prefix, handler=handler, max_wait_ms=50) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "hello")

        async def waits() -> bool:
            record = await shop.record("alice")
            return record is not None and record.delay_ms == 1000

        await eventually(waits, "a delay of a second in the record")
        await shop.finished()
        assert [attempt for _, attempt, _ in functions.calls] == [1, 2]
        assert worker.count("attempts_postponed_total", reason="retry") == 1
        assert [reply.texts for reply in await shop.outbox()] == [("one", "two")]


async def test_a_handler_that_raises_is_tried_again(redis_url: str, prefix: str) -> None:
    """An exception out of a Python function fails the attempt, not the worker."""
    handler = "python:tests.support.functions:fail_once"
    async with (
        deployment(redis_url, prefix, handler=handler, max_wait_ms=50) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "hello")
        await shop.finished()
        assert [attempt for _, attempt, _ in functions.calls] == [1, 2]
        assert [reply.texts for reply in await shop.outbox()] == [("done",)]


async def test_functions_that_block_run_side_by_side(redis_url: str, prefix: str) -> None:
    """A plain function runs in a thread of its own: ten of 50 ms do not hold the loop."""
    handler = "python:tests.support.functions:block"
    async with (
        deployment(redis_url, prefix, handler=handler, max_wait_ms=50) as shop,
        shop.worker(),
    ):
        for number in range(10):
            await shop.say(f"user-{number}", "hello")
        await shop.finished()
        assert len(functions.calls) == 10
        assert len({thread for _, _, thread in functions.calls}) > 1
        assert all(thread != "MainThread" for _, _, thread in functions.calls)
        assert len(await shop.outbox()) == 10


async def test_a_handler_past_its_time_fails_the_attempt(redis_url: str, prefix: str) -> None:
    """The time limit ends an attempt; what comes later is dropped, and the last one is dead."""
    handler = "python:tests.support.functions:hang"
    async with (
        deployment(
            redis_url,
            prefix,
            handler=handler,
            max_wait_ms=50,
            handler_timeout_ms=100,
            max_attempts=2,
        ) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "hello")
        await shop.finished()
        functions.gate.set()
        (letter,) = await shop.dead_letters()
        assert letter.error == "no answer within 0.1 s"
        assert [attempt for _, attempt, _ in functions.calls] == [1, 2]
        assert await shop.outbox() == []


async def test_a_function_that_ignores_its_time_limit(redis_url: str, prefix: str) -> None:
    """Its attempt failed, whether it goes on or not: its user does not wait for it for ever."""
    handler = "python:tests.support.functions:ignore_cancellation"
    async with (
        deployment(
            redis_url, prefix, handler=handler, max_wait_ms=50, handler_timeout_ms=100
        ) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "hello")
        await shop.finished()
        (letter,) = await shop.dead_letters()
        assert letter.error == "no answer within 0.1 s"
        assert len(functions.calls) == 3
        functions.gate.set()


async def test_a_function_that_ignores_the_end(redis_url: str, prefix: str, tmp_path: Path) -> None:
    """A drain gives its window back, uncounted, and the process ends without it."""
    handler = "python:tests.support.functions:ignore_cancellation"
    async with deployment(redis_url, prefix, handler=handler, max_wait_ms=50, drain_ms=200) as shop:
        settings = {
            "redis_url": redis_url,
            "prefix": prefix,
            "handler": handler,
            "partitions": shop.settings.partitions,
            "max_wait_ms": 50,
            "drain_ms": 200,
        }
        async with ServiceProcess("consumer", tmp_path, settings) as worker:
            await shop.say("alice", "hello")

            async def is_running() -> bool:
                return await shop.record("alice") is not None

            await eventually(is_running, "a call")
            stopping = asyncio.create_task(worker.stop())

            async def is_given_back() -> bool:
                record = await shop.record("alice")
                return record is not None and not record.worker and record.attempt == 0

            await eventually(is_given_back, "a window given back", 4)
            assert await stopping == 0
