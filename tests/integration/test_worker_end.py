"""What becomes of the windows in hand when their worker ends: drained, or killed."""

from __future__ import annotations

import asyncio

from tests.support.deployment import deployment, texts_of
from tests.support.handler_server import Answer, HandlerCall, HandlerServer, answer_after
from tests.support.waiting import eventually


async def test_a_drain_lets_running_handlers_finish(redis_url: str, prefix: str) -> None:
    """A worker that is told to stop finishes what it runs before it leaves."""
    release = asyncio.Event()

    async with (
        HandlerServer(answer_after(release, Answer.reply("done"))) as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=50, drain_ms=10_000) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "hello")
        await server.wait_for_calls(1)
        leaving = asyncio.create_task(worker.drain())
        await eventually(lambda: not worker.owned, "its leases to be gone")
        assert await shop.redis.exists(shop.keys.worker(worker.worker.id))
        release.set()
        await leaving
        assert await shop.backlog() == 0
        assert [reply.texts for reply in await shop.outbox()] == [("done",)]
        assert server.attempts() == [1]
        assert not await shop.redis.exists(shop.keys.worker(worker.worker.id))
        assert await shop.redis.smembers(shop.keys.workers) == set()


async def test_a_drain_gives_back_what_takes_too_long(redis_url: str, prefix: str) -> None:
    """A handler cut short by shutdown does not count: elsewhere it is the same attempt again."""
    never = asyncio.Event()
    stuck = [True]

    async def script(call: HandlerCall) -> Answer:
        if stuck[0] and call.json["attempt"] == 2:
            await never.wait()
        return Answer(status=500) if call.json["attempt"] == 1 else Answer.reply("done")

    async with (
        HandlerServer(script) as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=50, drain_ms=100) as shop,
    ):
        async with shop.worker() as worker:
            await shop.say("alice", "hello")
            await server.wait_for_calls(2)
            await worker.drain()
        record = await shop.record("alice")
        assert record is not None
        assert (record.worker, record.attempt) == ("", 1)
        stuck[0] = False
        async with shop.worker():
            await server.wait_for_calls(3)
            await shop.finished()
        never.set()
        assert server.attempts() == [1, 2, 2]
        assert len({call.json["window_id"] for call in server.calls}) == 1


async def test_a_crash_counts_as_an_attempt(redis_url: str, prefix: str) -> None:
    """Each crash with the window in hand is an attempt; after the last it is dead, uncalled."""
    never = asyncio.Event()

    async with (
        HandlerServer(answer_after(never)) as server,
        deployment(
            redis_url, prefix, handler=server.url, max_wait_ms=50, max_attempts=2, lease_ms=600
        ) as shop,
    ):
        await shop.say("alice", "hello")
        for count in (1, 2):
            async with shop.worker() as worker:
                await server.wait_for_calls(count)
                await worker.crash()
        async with shop.worker():
            await shop.finished()
        never.set()
        assert server.attempts() == [1, 2]
        (letter,) = await shop.dead_letters()
        assert letter.window is not None
        assert texts_of(letter.window) == ["hello"]
        assert letter.error == "the last attempt died with its worker"
