"""Windows whose worker died with them: which of them may run beside each other."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.support import functions
from tests.support.deployment import Deployment, RunningWorker, deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.waiting import eventually

USERS = 8
SETTINGS = {"partitions": 4, "max_messages": 1, "lease_ms": 800}


async def say_once_each(shop: Deployment) -> None:
    """One full window of each of ``USERS``."""
    for number in range(USERS):
        await shop.say(f"user-{number}", "hello")


async def crash_all_in_hand(shop: Deployment, server: HandlerServer) -> None:
    """A worker dies while it has a window of every user in hand."""
    async with shop.worker() as first:
        await say_once_each(shop)
        await server.wait_for_calls(USERS)
        await first.crash()


async def test_windows_of_an_endpoint_run_again_together(redis_url: str, prefix: str) -> None:
    """An endpoint's window cannot have killed the worker: nobody waits for the others' handlers."""
    release = asyncio.Event()

    async def script(_call: HandlerCall) -> Answer:
        await release.wait()
        return Answer(status=204)

    async with (
        HandlerServer(script) as server,
        deployment(redis_url, prefix, handler=server.url, **SETTINGS) as shop,
    ):
        await crash_all_in_hand(shop, server)
        async with shop.worker():
            calls = await server.wait_for_calls(2 * USERS)
            release.set()
            await shop.finished()
    assert [call.json["attempt"] for call in calls[USERS:]] == [2] * USERS


async def test_last_attempts_run_one_at_a_time(redis_url: str, prefix: str) -> None:
    """A window that may not die once more has no other such window beside it."""
    crashed = asyncio.Event()
    beside: list[int] = []
    at_once = 0

    async def script(_call: HandlerCall) -> Answer:
        nonlocal at_once
        if not crashed.is_set():
            await asyncio.Event().wait()
        at_once += 1
        beside.append(at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return Answer(status=204)

    async with (
        HandlerServer(script) as server,
        deployment(redis_url, prefix, handler=server.url, max_attempts=2, **SETTINGS) as shop,
    ):
        await crash_all_in_hand(shop, server)
        crashed.set()
        async with shop.worker():
            await shop.finished()
    assert beside == [1] * USERS


async def test_windows_of_a_function_run_again_one_at_a_time(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function runs inside the worker: one that kills it must not take its neighbours along."""
    functions.calls.clear()
    monkeypatch.setattr(functions, "gate", threading.Event())
    async with deployment(
        redis_url, prefix, handler="python:tests.support.functions:hang", **SETTINGS
    ) as shop:
        async with shop.worker() as first:
            await say_once_each(shop)
            await eventually(lambda: len(functions.calls) == USERS, "a call of every user")
            await first.crash()
        second: RunningWorker
        async with shop.worker() as second:
            await eventually(lambda: len(functions.calls) == USERS + 1, "the first repeat")
            await second.owns(4)
            assert len(functions.calls) == USERS + 1
            functions.gate.set()
            await shop.finished()
    assert len(functions.calls) == 2 * USERS
