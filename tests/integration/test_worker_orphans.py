"""Windows whose worker died with them: which of them may run beside each other."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from consumer.reclaimer import Reclaimer
from shared.instance_settings import InstanceSettings
from tests.support import functions
from tests.support.deployment import Deployment, RunningWorker, deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer, answer_after
from tests.support.waiting import eventually

AUDITS = 100
"""Rounds that take longer than a record of another worker may stand unchanged."""

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

    async with (
        HandlerServer(answer_after(release)) as server,
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


def users_in(shop: Deployment, instance: str, partition: int) -> list[str]:
    """Some of an instance's whose messages are there."""
    names = [f"user-{number}" for number in range(64)]
    found = [name for name in names if shop.keys.of(instance, name).number == partition]
    return found[:USERS]


def waiting_in(worker: RunningWorker, partition: int) -> int:
    """How many windows of a partition a worker knows that may start."""
    held = worker.partitions.get(partition)
    return 0 if held is None else len(held.memory.startable)


async def test_no_audit_takes_for_forgotten_what_waits_for_a_slot(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a dead worker's windows wait for one, their owner knows them: they stay."""
    release = asyncio.Event()
    rounds = 0
    audit = Reclaimer.round

    async def count_round(reclaimer: Reclaimer) -> None:
        nonlocal rounds
        await audit(reclaimer)
        rounds += 1

    monkeypatch.setattr(Reclaimer, "round", count_round)
    settings = {**SETTINGS, "partitions": 2, "reclaim_idle_ms": 80, "handler_timeout_ms": 60_000}
    limits = {"shop": InstanceSettings(handler_timeout_ms=200)}
    async with (
        HandlerServer(answer_after(release)) as server,
        deployment(redis_url, prefix, handler=server.url, **settings) as shop,
        shop.worker(handler_concurrency=1, instances=limits) as heir,
        shop.worker() as first,
    ):
        await heir.owns(1)
        await first.owns(1)
        (ours,), (theirs,) = heir.owned, first.owned
        await shop.say(users_in(shop, "slow", ours)[0], "hi", instance="slow")
        await server.wait_for_calls(1)
        for user in users_in(shop, "shop", theirs):
            await shop.say(user, "hi")
        await server.wait_for_calls(1 + USERS)
        await first.crash()
        await heir.owns(2)
        repairs = partial(heir.count, "takeovers_total", reason="repair")
        before, rounds = repairs(), 0
        await eventually(lambda: rounds >= AUDITS, "audits", 30)

        # one that was kept from the CPU may have had to take its lease again, which is no repair
        assert repairs() == before, "it was rebuilt"
        assert heir.count("audits_failed_total", reason="foreign_record") == 0
        await eventually(lambda: waiting_in(heir, theirs) == USERS, "all that wait for the slot")
        release.set()
        await shop.finished()
