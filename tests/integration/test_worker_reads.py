"""A worker reads all that is there: also behind a bound, a slow handler or a busy stream."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from consumer.answers import Reads
from consumer.reader import READ_COUNT
from consumer.store import PartitionStore
from tests.support.deployment import deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.waiting import eventually


async def test_what_came_without_a_worker_is_handled_later(redis_url: str, prefix: str) -> None:
    """Messages that waited for a worker are cut as if one had been there."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=500) as shop,
    ):
        await shop.say("alice", *"1234567")
        await shop.say("bob", "hello")
        async with shop.worker():
            await server.wait_for_calls(3)
            await shop.finished()
    texts: dict[str, list[str]] = {"alice": [], "bob": []}
    for call in server.calls:
        texts[call.json["user"]].append(call.json["text"])
    assert texts == {"alice": ["1\n2\n3\n4\n5", "6\n7"], "bob": ["hello"]}


async def test_a_stream_that_becomes_ready_during_a_read(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes between look and read, in another stream of the partition, rings no bell."""
    read, came = PartitionStore.read, asyncio.Event()

    async def read_late(store: PartitionStore, *args: Any, **named: Any) -> Reads:
        if not came.is_set():
            came.set()
            await shop.say("bob", "3", "4", instance="bakery")
        return await read(store, *args, **named)

    async with (
        HandlerServer() as server,
        deployment(
            redis_url,
            prefix,
            handler=server.url,
            max_messages=2,
            max_wait_ms=60_000,
            partitions=1,
        ) as shop,
        shop.worker() as worker,
    ):
        await worker.owns(1)
        monkeypatch.setattr(PartitionStore, "read", read_late)
        await shop.say("alice", "1", "2")
        calls = await server.wait_for_calls(2, deadline_s=5)
        assert {call.json["text"] for call in calls} == {"1\n2", "3\n4"}
        await shop.finished()


async def test_a_read_ahead_of_one_still_handles_everything(redis_url: str, prefix: str) -> None:
    """The bound on entries held slows reading and never stops it."""
    async with (
        HandlerServer() as server,
        deployment(
            redis_url, prefix, handler=server.url, read_ahead=1, partitions=1, max_wait_ms=50
        ) as shop,
        shop.worker(),
    ):
        for round_ in range(3):
            for number in range(10):
                await shop.say(f"user-{number}", f"{round_}")
        await shop.finished()
    said = [text for call in server.calls for text in call.json["text"].split("\n")]
    assert len(said) == 30


async def test_a_stream_read_ahead_enough_delays_no_other(redis_url: str, prefix: str) -> None:
    """
    While one instance's stream stands unread behind a slow handler, another's message is read.

    A bell rings only where nothing was unread, so none rings for it.
    """
    release = asyncio.Event()

    async def script(call: HandlerCall) -> Answer:
        if call.json["instance"] == "flood":
            await release.wait()
        return Answer.reply("yes")

    async with (
        HandlerServer(script) as server,
        deployment(
            redis_url, prefix, handler=server.url, read_ahead=3, partitions=1, max_messages=1
        ) as shop,
    ):
        for number in range(10):
            await shop.say(f"user-{number}", *map(str, range(READ_COUNT // 8)), instance="flood")
        async with shop.worker() as worker:
            flooded = len(await server.wait_for_calls(9))
            partition = worker.worker._keeper.partitions[0]
            await eventually(lambda: not partition._must_read, "a pause in reading")
            assert partition.memory.unread == {"flood"}
            await shop.say("bob", "hello", instance="calm")
            calls = await server.wait_for_calls(flooded + 1, deadline_s=3)
            assert calls[flooded].json["instance"] == "calm"
            release.set()
            await shop.finished()


async def test_open_windows_do_not_wait_for_one_in_hand(redis_url: str, prefix: str) -> None:
    """
    More entries in open windows than are read ahead do not stop the read that closes them,
    though another user's handler is at work.
    """
    release = asyncio.Event()

    async def script(call: HandlerCall) -> Answer:
        if call.json["user"] == "slow":
            await release.wait()
        return Answer.reply("yes")

    async with (
        HandlerServer(script) as server,
        deployment(
            redis_url, prefix, handler=server.url, read_ahead=7, partitions=1, max_wait_ms=800
        ) as shop,
        shop.worker(),
    ):
        await shop.say("slow", *"12345")
        await server.wait_for_calls(1)
        for number in range(10):
            await shop.say(f"user-{number}", "hello")
        calls = await server.wait_for_calls(11, deadline_s=5)
        release.set()
        await shop.finished()
        assert {call.json["user"] for call in calls} == {"slow", *(f"user-{n}" for n in range(10))}
