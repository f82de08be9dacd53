"""What a worker does about entries that no list names: neither pending, nor in a ready stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from shared.model import Message
from shared.wire import encode_message
from tests.support.deployment import INSTANCE, Deployment, deployment
from tests.support.handler_server import Answer, HandlerServer, answer_after
from tests.support.waiting import eventually

GROUP = "workers"

Harm = Callable[[Deployment, str], Awaitable[object]]

RECREATE = """
redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
return redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], ARGV[2])
"""
"""In one step: an audit between the two would find a lost group."""


async def recreate(shop: Deployment, stream: str, start: str) -> None:
    """Make the group anew."""
    answer: Any = shop.redis.eval(RECREATE, 1, stream, GROUP, start)
    assert await answer


async def recreate_at_0(shop: Deployment, stream: str) -> None:
    """As one does who means well."""
    await recreate(shop, stream, "0")


async def recreate_at_end(shop: Deployment, stream: str) -> None:
    """XGROUP CREATE's most usual form, which skips what is there."""
    await recreate(shop, stream, "$")


async def delete_consumers(shop: Deployment, stream: str) -> None:
    """XGROUP DELCONSUMER forgets what was pending."""
    for consumer in await shop.redis.xinfo_consumers(stream, GROUP):
        await shop.redis.xgroup_delconsumer(stream, GROUP, consumer["name"])


async def skip_to_end(shop: Deployment, stream: str) -> None:
    """XGROUP SETID skips what is unread."""
    await shop.redis.xgroup_setid(stream, GROUP, "$")


async def delete_ready(shop: Deployment, stream: str) -> None:
    """Nothing says any more what is unread."""
    await shop.redis.delete(shop.keys.of(INSTANCE, "alice").ready)


async def delete_streams(shop: Deployment, stream: str) -> None:
    """Nothing says any more which streams there are."""
    await shop.redis.delete(shop.keys.of(INSTANCE, "alice").streams)


def stream_of_alice(shop: Deployment) -> str:
    """Where what she says waits."""
    return shop.keys.of(INSTANCE, "alice").stream(INSTANCE)


AFTER_A_READ: list[Harm] = [recreate_at_0, recreate_at_end, delete_consumers]
BEFORE_A_READ: list[Harm] = [recreate_at_end, skip_to_end, delete_ready, delete_streams]


@pytest.mark.parametrize("harm", AFTER_A_READ)
async def test_open_windows_outlive_it(redis_url: str, prefix: str, harm: Harm) -> None:
    """Their start is refused, for nothing is pending; the takeover reads them again, once."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=1000) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "one", "two")
        await eventually(lambda: worker.count("open_windows") == 1, "an open window")
        await harm(shop, stream_of_alice(shop))
        await shop.finished()
        assert [call.json["text"] for call in server.calls] == ["one\ntwo"]


@pytest.mark.parametrize("harm", BEFORE_A_READ)
async def test_unread_entries_outlive_it(redis_url: str, prefix: str, harm: Harm) -> None:
    """
    The takeover reads what nothing names; what was skipped and is ready, the audit finds when the
    read has come to its end.
    """
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, reclaim_idle_ms=400) as shop,
    ):
        await shop.say("alice", "one", "two")
        await harm(shop, stream_of_alice(shop))
        async with shop.worker() as worker:
            await shop.finished()
            is_skipped = harm in (recreate_at_end, skip_to_end)
            assert worker.count("groups_rewound_total") == (harm is not delete_streams)
            found = worker.count("audits_failed_total", reason="unlisted_entries")
            assert found == is_skipped
        assert [call.json["text"] for call in server.calls] == ["one\ntwo"]


@pytest.mark.parametrize("harm", [*AFTER_A_READ, delete_streams])
async def test_what_a_dead_worker_had_read_outlives_it(
    redis_url: str, prefix: str, harm: Harm
) -> None:
    """Its heir finds it, pending or not."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=2000, lease_ms=1000) as shop,
    ):
        async with shop.worker() as worker:
            await shop.say("alice", "one")
            await eventually(lambda: worker.count("open_windows") == 1, "an open window")
            await worker.crash()
        await harm(shop, stream_of_alice(shop))
        async with shop.worker():
            await shop.finished()
        assert server.texts() == ["one"]


@pytest.mark.parametrize("harm", [*AFTER_A_READ, delete_streams])
async def test_a_window_in_hand_outlives_it(redis_url: str, prefix: str, harm: Harm) -> None:
    """It is handed over once, and so is what waits behind it."""
    release = asyncio.Event()
    async with (
        HandlerServer(answer_after(release, Answer.reply("done"))) as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=50) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "running")
        await server.wait_for_calls(1)
        await shop.say("alice", "next")
        held = worker.partitions[shop.keys.of(INSTANCE, "alice").number]
        await eventually(lambda: held.memory.stream(INSTANCE).held == 2, "both read")
        await harm(shop, stream_of_alice(shop))
        release.set()
        await shop.finished()
        assert server.texts() == ["running", "next"]


async def test_the_audit_finds_it(redis_url: str, prefix: str) -> None:
    """Without any traffic; an entry that nothing names is read, and so are those after it."""
    async with (
        HandlerServer() as server,
        deployment(
            redis_url, prefix, handler=server.url, max_wait_ms=50, reclaim_idle_ms=400
        ) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "first")
        await shop.finished()
        message = Message(
            instance=INSTANCE, user="alice", message_id="H", text="unlisted", received_at=1
        )
        await shop.redis.xadd(stream_of_alice(shop), {"m": encode_message(message)})
        await shop.finished()
        assert server.texts() == ["first", "unlisted"]
        assert worker.count("audits_failed_total", reason="unlisted_entries") == 1


@pytest.mark.parametrize("harm", AFTER_A_READ)
async def test_the_audit_finds_it_while_windows_gather(
    redis_url: str, prefix: str, harm: Harm
) -> None:
    """Long before their start would be refused; they stay as they were."""
    async with (
        HandlerServer() as server,
        deployment(
            redis_url, prefix, handler=server.url, max_wait_ms=60_000, reclaim_idle_ms=400
        ) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "1", "2")
        await eventually(lambda: worker.count("open_windows") == 1, "an open window")
        await harm(shop, stream_of_alice(shop))
        await eventually(
            lambda: worker.count("audits_failed_total", reason="unlisted_entries") == 1, "an audit"
        )
        await shop.say("alice", "3", "4", "5")
        await shop.finished()
        assert [call.json["text"] for call in server.calls] == ["1\n2\n3\n4\n5"]


async def test_under_load_nothing_is_unlisted(redis_url: str, prefix: str) -> None:
    """However often it is looked at: entries come, are read, finished and taken over meanwhile."""
    async with (
        HandlerServer() as server,
        deployment(
            redis_url, prefix, handler=server.url, max_wait_ms=20, reclaim_idle_ms=1
        ) as shop,
        shop.worker() as worker,
    ):
        for number in range(60):
            users = [f"user-{number}-{one}" for one in range(20)]
            await asyncio.gather(*(shop.say(user, "a", "b") for user in users))
            if number % 20 == 10:
                for partition in worker.partitions.values():
                    partition.restart("a test")
        await shop.finished()
        assert worker.count("audits_failed_total", reason="unlisted_entries") == 0
        assert worker.count("groups_rewound_total") == 0
