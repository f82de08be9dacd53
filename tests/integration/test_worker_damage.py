"""What a worker makes of damage in Redis: what can be read is not lost, the rest is counted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from consumer.answers import Reads
from shared.model import Message
from shared.wire import encode_message
from tests.support.deployment import deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer


async def test_an_undecodable_entry_is_a_dead_letter(redis_url: str, prefix: str) -> None:
    """An entry that no version explains is kept raw by itself; the others are handled."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=200) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "before")
        stream = shop.keys.of("shop", "alice").stream("shop")
        await shop.redis.xadd(stream, {"m": b'{"v": 99, "user": "alice"}'})
        await shop.redis.xadd(stream, {"m": b"\xff\x00 no json"})
        await shop.redis.xadd(stream, {"other": b"field", "two": b"fields"})
        await shop.say("alice", "after")
        await shop.finished()
        assert server.texts() == ["before", "after"]
        letters = await shop.dead_letters()
        assert len(letters) == 3
        assert all(letter.window is None and letter.raw for letter in letters)
        assert worker.count("entries_undecodable_total") == 3


async def test_an_undecodable_entry_that_was_read_before(redis_url: str, prefix: str) -> None:
    """It becomes a dead letter also when an earlier worker read it and died."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=50) as shop,
    ):
        await shop.say("alice", "good")
        stream = shop.keys.of("shop", "alice").stream("shop")
        await shop.redis.xadd(stream, {"m": b"broken"})
        await shop.redis.xreadgroup("workers", "worker-gone", {stream: ">"})
        async with shop.worker():
            await shop.finished()
        assert server.texts() == ["good"]
        assert len(await shop.dead_letters()) == 1


async def test_a_pending_entry_that_was_deleted(redis_url: str, prefix: str) -> None:
    """An entry deleted while pending is counted and acknowledged, never an empty message."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=200) as shop,
    ):
        ids = await shop.say("alice", "1", "2", "3")
        stream = shop.keys.of("shop", "alice").stream("shop")
        await shop.redis.xreadgroup("workers", "worker-gone", {stream: ">"})
        await shop.redis.xdel(stream, str(ids[1]))
        async with shop.worker() as worker:
            await shop.finished()
            assert worker.count("entries_missing_total") == 1
        assert server.texts() == ["1", "3"]
        assert (await shop.redis.xpending(stream, "workers"))["pending"] == 0
        consumers = await shop.redis.xinfo_consumers(stream, "workers")
        assert b"worker-gone" not in [consumer["name"] for consumer in consumers]


async def test_a_stream_of_another_type(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is no stream stops its instance alone, and is not read without end."""
    async with (
        HandlerServer() as server,
        deployment(
            redis_url, prefix, handler=server.url, partitions=1, max_messages=2, max_wait_ms=60_000
        ) as shop,
        shop.worker() as worker,
    ):
        keys = shop.keys.partition(0)
        await shop.redis.set(keys.stream("broken"), "no stream")
        await shop.redis.sadd(keys.streams, "broken")
        await shop.redis.zadd(keys.ready, {"broken": 1})
        partition = worker.partitions[0]
        reads = 0
        read = partition.store.read

        async def count_read(*args: Any, **named: Any) -> Reads:
            nonlocal reads
            reads += 1
            return await read(*args, **named)

        monkeypatch.setattr(partition.store, "read", count_read)
        await shop.say("alice", "1", "2")
        partition.ring()
        await server.wait_for_calls(1)
        await shop.redis.delete(keys.stream("broken"))
        await shop.finished()
        assert [call.json["text"] for call in server.calls] == ["1\n2"]
        assert reads < 20


async def test_forgotten_scripts(redis_url: str, prefix: str) -> None:
    """SCRIPT FLUSH at any moment costs nothing."""
    async with (
        HandlerServer([Answer.reply("yes")]) as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=50) as shop,
        shop.worker(),
    ):
        for number in range(5):
            await shop.say("alice", f"{number}")
            await shop.redis.script_flush()
            await server.wait_for_calls(number + 1)
            await shop.redis.script_flush()
        await shop.finished()
        assert server.texts() == ["0", "1", "2", "3", "4"]
        assert len(await shop.outbox()) == 5


async def test_cut_connections(redis_url: str, prefix: str) -> None:
    """CLIENT KILL of every connection, again and again under load, loses and repeats nothing."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=100) as shop,
        shop.worker() as worker,
    ):
        for round_ in range(10):
            for number in range(10):
                await shop.say(f"user-{number}", f"{round_}")
            await shop.kill_connections()
        await shop.finished()
        assert worker.count("takeovers_total", reason="disconnected") >= 1
    for number in range(10):
        mine = [call for call in server.calls if call.json["user"] == f"user-{number}"]
        assert len({call.json["window_id"] for call in mine}) == len(mine)
        assert [m["text"] for call in mine for m in call.json["messages"]] == [
            f"{round_}" for round_ in range(10)
        ]


async def test_hidden_entries_are_reclaimed(redis_url: str, prefix: str) -> None:
    """Entries that a stranger read and never finished are found by the audit and handled."""
    async with (
        HandlerServer() as server,
        deployment(
            redis_url, prefix, handler=server.url, max_wait_ms=50, reclaim_idle_ms=400
        ) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "first")
        await shop.finished()
        keys = shop.keys.of("shop", "alice")
        stream = keys.stream("shop")
        # A lost answer: in the pending list, not in `ready`, and no window knows it.
        message = Message(
            instance="shop", user="alice", message_id="H", text="hidden", received_at=1
        )
        await shop.redis.xadd(stream, {"m": encode_message(message)})
        await shop.redis.xreadgroup("workers", "stranger", {stream: ">"})
        await shop.finished()
        assert server.texts() == ["first", "hidden"]
        assert worker.count("entries_reclaimed_total") == 1
        assert worker.count("audits_failed_total", reason="hidden_entries") == 1


async def test_nothing_unfinished_has_a_ttl(
    redis_url: str, prefix: str, redis_client: Redis
) -> None:
    """Of the keys that exist in mid-flight only leases, worker keys and dedupe expire."""
    release = asyncio.Event()

    async def script(call: HandlerCall) -> Answer:
        if call.json["user"] == "runs":
            await release.wait()
        status = {"fails": 500, "rejected": 400}.get(call.json["user"])
        return Answer(status=status) if status else Answer.reply("yes")

    async with (
        HandlerServer(script) as server,
        deployment(
            redis_url, prefix, handler=server.url, max_wait_ms=100, retry_base_ms=60_000
        ) as shop,
        shop.worker(),
    ):
        for user in ("runs", "fails", "rejected", "answered"):
            await shop.say(user, "hello")
        await server.wait_for_calls(4)
        await shop.say("opens", "hello")
        kept: dict[bytes, int] = {}
        async for key in redis_client.scan_iter(f"{prefix}:*", count=1000):
            kept[key] = await redis_client.pttl(key)
        expiring = {key for key, ttl_ms in kept.items() if ttl_ms >= 0}
        for key in expiring:
            name = key.decode().removeprefix(f"{prefix}:").split(":")
            assert name[0] == "worker" or name[1] in ("lease", "seen"), key
        assert any(b":stream:" in key for key in kept)
        assert any(key.endswith(b":running") for key in kept)
        release.set()
