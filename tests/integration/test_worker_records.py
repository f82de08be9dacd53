"""What a worker makes of records of windows that are damaged, or that another has finished."""

from __future__ import annotations

import asyncio
from functools import partial

import orjson
import pytest

from tests.support.deployment import deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer, answer_after
from tests.support.waiting import eventually


async def test_a_started_window_whose_entries_were_deleted(redis_url: str, prefix: str) -> None:
    """A record without entries is noted as missing; the user's next window starts."""
    never = asyncio.Event()

    async def script(call: HandlerCall) -> Answer:
        if call.json["text"] == "gone":
            await never.wait()
        return Answer(status=204)

    async with (
        HandlerServer(script) as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=50, lease_ms=600) as shop,
    ):
        async with shop.worker() as first:
            (entry_id,) = await shop.say("alice", "gone")
            await server.wait_for_calls(1)
            await first.crash()
        await shop.redis.xdel(shop.keys.of("shop", "alice").stream("shop"), str(entry_id))
        await shop.say("alice", "next")
        async with shop.worker() as second:
            await shop.finished()
            assert second.count("entries_missing_total") >= 1
        never.set()
        assert server.texts() == ["gone", "next"]
        assert [row["what"] for row in await shop.journal()] == ["missing", "silent"]
        assert await shop.record("alice") is None


async def test_another_workers_window_that_lacks_an_entry(redis_url: str, prefix: str) -> None:
    """The next owner waits for it quietly: it does not take over again with each look."""
    release = asyncio.Event()

    async with (
        HandlerServer(answer_after(release, Answer.reply("yes"))) as server,
        deployment(
            redis_url, prefix, handler=server.url, partitions=1, max_messages=3, drain_ms=8000
        ) as shop,
        shop.worker() as first,
    ):
        ids = await shop.say("alice", "1", "2", "3")
        await server.wait_for_calls(1)
        await shop.redis.xdel(shop.keys.of("shop", "alice").stream("shop"), str(ids[1]))
        async with shop.worker() as second:
            leaving = asyncio.create_task(first.drain())
            await second.owns(1)
            partition = second.worker._keeper.partitions[0]
            for _ in range(2):
                looked_s = partition._foreign_s
                await eventually(lambda s=looked_s: partition._foreign_s > s, "a look")  # type: ignore[misc]
            release.set()
            await leaving
            await shop.finished()
            assert second.count("takeovers_total", reason="repair") == 0
        assert len(server.calls) == 1


NO_TOKEN = orjson.dumps(
    {"ids": ["1-1"], "window_id": "w_1", "closed_by": "max_wait", "opened_at": 1, "closed_at": 2}
    | {"token": [], "worker": "w", "attempt": 1, "retry_at": 0, "delay": 0, "since": 0}
    | {"started": 1}
)


@pytest.mark.parametrize("damage", [b"\xff no json", b"{}", b'{"ids":[]}', b"[1]", NO_TOKEN])
async def test_a_record_that_cannot_be_read(redis_url: str, prefix: str, damage: bytes) -> None:
    """It ends no owner: it is deleted and counted, and its window begins anew."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, max_messages=2, partitions=1) as shop,
    ):
        await shop.say("alice", "1", "2")
        await shop.redis.hset(shop.keys.partition(0).running, "shop\0alice", damage)
        await shop.redis.hset(shop.keys.partition(0).running, "no conversation", damage)
        async with shop.worker() as worker:
            await shop.finished()
            assert worker.count("records_damaged_total") == 2
        assert [call.json["text"] for call in server.calls] == ["1\n2"]
        assert not await shop.redis.exists(shop.keys.partition(0).running)


async def test_a_record_that_is_damaged_while_its_window_runs(redis_url: str, prefix: str) -> None:
    """The audit finds it; the first result is refused, the window is handed over again."""
    held = asyncio.Event()

    async with (
        HandlerServer(answer_after(held)) as server,
        deployment(
            redis_url, prefix, handler=server.url, max_messages=2, partitions=1, reclaim_idle_ms=800
        ) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "1", "2")
        await server.wait_for_calls(1)
        await shop.redis.hset(shop.keys.partition(0).running, "shop\0alice", b"damaged")
        await server.wait_for_calls(2)
        held.set()
        await shop.finished()
        assert [call.json["text"] for call in server.calls] == ["1\n2"] * 2
        assert worker.count("audits_failed_total", reason="damaged_record") >= 1
        assert worker.count("records_damaged_total") == 1
        finished = partial(worker.count, "messages_finished_total", outcome="silent")
        await eventually(lambda: finished() == 2, "one window counted")


async def test_a_window_that_another_has_finished_is_counted_once(
    redis_url: str, prefix: str
) -> None:
    """A stale worker's finish that finds everything done is a refusal, not a second finish."""
    held = asyncio.Event()

    async with (
        HandlerServer(answer_after(held)) as server,
        deployment(redis_url, prefix, handler=server.url, max_messages=2, partitions=1) as shop,
        shop.worker() as worker,
    ):
        ids = await shop.say("alice", "1", "2")
        await server.wait_for_calls(1)
        keys = shop.keys.partition(0)
        await shop.redis.hdel(keys.running, "shop\0alice")
        await shop.redis.xack(keys.stream("shop"), "workers", *map(str, ids))
        await shop.redis.xdel(keys.stream("shop"), *map(str, ids))
        held.set()
        await eventually(lambda: worker.count("fenced_total", call="finish") == 1, "a refusal")
        assert worker.count("messages_finished_total", outcome="silent") == 0
