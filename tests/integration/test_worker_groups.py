"""What a worker does when somebody destroys the consumer groups under it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.deployment import Deployment, deployment
from tests.support.handler_server import Answer, HandlerServer, answer_after
from tests.support.waiting import eventually


async def destroy_groups(shop: Deployment) -> None:
    """XGROUP DESTROY of every stream's group."""
    for stream in await shop.streams():
        await shop.redis.xgroup_destroy(stream, "workers")


async def test_a_destroyed_group_of_open_windows(redis_url: str, prefix: str) -> None:
    """Windows that gather when their group is destroyed are all handled, once, whole."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=3000) as shop,
        shop.worker() as worker,
    ):
        for number in range(10):
            await shop.say(f"user-{number}", f"hello {number}")
        await eventually(
            lambda: sum(len(held.memory.open) for held in worker.partitions.values()) == 10,
            "ten open windows",
        )
        await destroy_groups(shop)
        await shop.finished()
        assert sorted(server.texts()) == sorted(f"hello {number}" for number in range(10))
        assert worker.count("groups_recreated_total") >= 1


async def test_a_destroyed_group_that_a_late_ring_finds(redis_url: str, prefix: str) -> None:
    """A ring whose message was read before the loss has that message read again."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=1000) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "hello")
        await eventually(lambda: worker.count("open_windows") == 1, "an open window")
        await destroy_groups(shop)
        (bell,) = [key async for key in shop.redis.scan_iter(f"{prefix}:{{*}}:bell")]
        rings: Any = await shop.redis.xrange(bell)
        ring = rings[0][1]
        await shop.redis.xadd(bell, ring, maxlen=1, approximate=False)
        await shop.finished()
        assert server.texts() == ["hello"]
        assert worker.count("groups_recreated_total") == 1


async def test_a_destroyed_group_of_an_idle_worker(redis_url: str, prefix: str) -> None:
    """The next message after the loss brings the group back, and is handled."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=50) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "before")
        await shop.finished()
        await destroy_groups(shop)
        await shop.say("alice", "after")
        await shop.finished()
        assert server.texts() == ["before", "after"]
        assert worker.count("groups_recreated_total") == 1


async def test_a_destroyed_group_of_a_window_in_hand(redis_url: str, prefix: str) -> None:
    """A window that runs when its group is destroyed finishes, and is not handed over again."""
    release = asyncio.Event()

    async with (
        HandlerServer(answer_after(release, Answer.reply("done"))) as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=50) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "running")
        await server.wait_for_calls(1)
        await destroy_groups(shop)
        await shop.say("alice", "next")
        release.set()
        await shop.finished()
        assert server.texts() == ["running", "next"]


async def test_a_destroyed_group_of_a_window_in_backoff(redis_url: str, prefix: str) -> None:
    """A window that waits for its retry when its group is destroyed is tried again, unharmed."""
    script = [Answer(status=500), Answer(status=204)]
    async with (
        HandlerServer(script) as server,
        deployment(
            redis_url, prefix, handler=server.url, max_wait_ms=50, retry_base_ms=600
        ) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "hello")
        await server.wait_for_calls(1)
        await destroy_groups(shop)
        await shop.finished()
        assert server.texts() == ["hello", "hello"]
        assert [call.json["attempt"] for call in server.calls] == [1, 2]


async def test_a_group_destroyed_between_two_workers(redis_url: str, prefix: str) -> None:
    """A worker that finds records and no group loses neither their windows nor the next ones."""
    script = [Answer(status=500), Answer(status=204)]
    async with (
        HandlerServer(script) as server,
        deployment(
            redis_url, prefix, handler=server.url, max_wait_ms=100, retry_base_ms=500
        ) as shop,
    ):
        async with shop.worker():
            await shop.say("alice", "in backoff")
            await server.wait_for_calls(1)
        await shop.say("alice", "later")
        await shop.say("bob", "hello")
        await destroy_groups(shop)
        async with shop.worker():
            await shop.finished()
        assert sorted(server.texts()) == ["hello", "in backoff", "in backoff", "later"]
        texts = [call.json["text"] for call in server.calls if call.json["user"] == "alice"]
        assert texts == ["in backoff", "in backoff", "later"]
        assert len({c.json["window_id"] for c in server.calls if c.json["text"] != "hello"}) == 2


async def test_a_destroyed_group_is_found_by_the_audit(redis_url: str, prefix: str) -> None:
    """Without any traffic the loss is found; the open window goes on as it was."""
    async with (
        HandlerServer() as server,
        deployment(
            redis_url, prefix, handler=server.url, max_wait_ms=60_000, reclaim_idle_ms=400
        ) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "1", "2")
        await eventually(lambda: worker.count("open_windows") == 1, "an open window")
        await destroy_groups(shop)
        await eventually(lambda: worker.count("groups_recreated_total") == 1, "the group again")
        await shop.say("alice", "3", "4", "5")
        await shop.finished()
        assert [call.json["text"] for call in server.calls] == ["1\n2\n3\n4\n5"]
        assert worker.count("audits_failed_total", reason="lost_group") == 1
