"""A send that was begun: its worker crashes or drains, or its record is damaged."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from shared.model import EntryId, window_id
from shared.wire import OutboxReply, encode_reply
from tests.support.channel import SENT, shop_with
from tests.support.handler_server import Answer, HandlerCall, answer_after, answer_first_after
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("no_typing")


@pytest.mark.parametrize("policy", ["resend", "hold"])
async def test_a_send_cut_by_a_crash_follows_the_policy(
    redis_url: str, prefix: str, policy: str
) -> None:
    """A reply that may have been sent is sent again, or held, as ``OUTBOX_POLICY`` says."""
    never = asyncio.Event()
    send = answer_first_after(never, SENT)
    async with shop_with(redis_url, prefix, send=send, outbox_policy=policy, lease_ms=600) as shop:
        async with shop.deployment.worker() as first:
            await shop.deployment.say("alice", "1")
            await shop.provider.wait_for_calls(1)
            await first.crash()
        async with shop.deployment.worker() as second:
            if policy == "resend":
                await shop.sent(1)
                assert shop.texts() == ["to 1", "to 1"]
            else:
                held = "replies_held_total"
                await eventually(lambda: second.count(held, reason="ambiguous") == 1, "it is held")
                assert shop.texts() == ["to 1"]
                assert [reply.texts for reply in await shop.deployment.outbox()] == [("to 1",)]
            await shop.deployment.say("alice", "2")
            await shop.provider.wait_for_calls(len(shop.provider.calls) + 1)
            assert shop.texts()[-1] == "to 2"
        never.set()
        assert len(shop.handler.calls) == 2


async def test_a_crashed_workers_send_is_taken_over(redis_url: str, prefix: str) -> None:
    """Another worker looks again at a send whose worker lives, and sends soon after its death."""
    never = asyncio.Event()
    send = answer_first_after(never, SENT)
    settings: dict[str, Any] = {"partitions": 1, "lease_ms": 1000, "drain_ms": 10_000}
    async with shop_with(redis_url, prefix, send=send, **settings) as shop:
        async with shop.deployment.worker() as first:
            await shop.deployment.say("alice", "1")
            await shop.provider.wait_for_calls(1)
            async with shop.deployment.worker() as second:
                first.stopping.set()
                await second.owns(1)
                assert shop.texts() == ["to 1"]
                await first.crash()
                await shop.provider.wait_for_calls(2, deadline_s=5)
                await shop.sent(1)
        never.set()


async def test_a_drain_lets_a_send_finish(redis_url: str, prefix: str) -> None:
    """A worker that is told to stop waits for the provider's answer and notes it."""
    release = asyncio.Event()
    send = answer_after(release, SENT)
    async with shop_with(redis_url, prefix, send=send) as shop:
        async with shop.deployment.worker() as worker:
            await shop.deployment.say("alice", "1")
            await shop.provider.wait_for_calls(1)
            leaving = asyncio.create_task(worker.drain())
            await eventually(lambda: not worker.owned, "its leases to be gone")
            release.set()
            await leaving
        await shop.sent(1)
        assert await shop.deployment.outbox() == []
        assert shop.texts() == ["to 1"]


NO_TOKEN = b'{"token":[],"worker":"w","attempt":1,"sent":0,"held":"","retry_at":0,"delay":0}'


@pytest.mark.parametrize("damage", [b"\xff no json", b"{}", b"[1]", NO_TOKEN])
@pytest.mark.parametrize("policy", ["resend", "hold"])
async def test_a_send_whose_record_cannot_be_read(
    redis_url: str, prefix: str, policy: str, damage: bytes
) -> None:
    """It ends no worker: it is deleted and counted, and its reply may have been sent."""
    async with shop_with(redis_url, prefix, outbox_policy=policy, partitions=1) as shop:
        keys = shop.deployment.keys.partition(0)
        reply = OutboxReply(
            window_id=window_id("shop", "alice", EntryId(1, 1)),
            instance="shop",
            user="alice",
            texts=("yes",),
            provider="evolution",
            reply_to="",
            message_ids=("M",),
        )
        reply_id = await shop.deployment.redis.xadd(keys.outbox, {"m": encode_reply(reply)})
        await shop.deployment.redis.hset(keys.sending, reply_id, damage)
        await shop.deployment.redis.hset(keys.sending, "no reply", damage)
        async with shop.deployment.worker() as worker:
            if policy == "resend":
                await shop.sent(1)
            else:
                held = partial(worker.count, "replies_held_total", reason="ambiguous")
                await eventually(lambda: held() == 1, "a held reply")
            await shop.deployment.say("bob", "hi")
            await shop.sent(2 if policy == "resend" else 1)
            assert worker.count("records_damaged_total") == 2
        assert shop.texts() == (["yes", "to hi"] if policy == "resend" else ["to hi"])


async def test_a_record_that_is_damaged_while_its_reply_is_sent(
    redis_url: str, prefix: str
) -> None:
    """The audit finds it; the reply does not stay in the outbox for ever."""
    held = asyncio.Event()

    async def send(_call: HandlerCall) -> Answer:
        await held.wait()
        return SENT

    async with (
        shop_with(redis_url, prefix, send=send, partitions=1, reclaim_idle_ms=400) as shop,
        shop.deployment.worker() as worker,
    ):
        await shop.deployment.say("alice", "hi")
        await shop.provider.wait_for_calls(1)
        sending = shop.deployment.keys.partition(0).sending
        [reply_id] = await shop.deployment.redis.hkeys(sending)
        await shop.deployment.redis.hset(sending, reply_id, b"damaged")
        held.set()
        await shop.sent(1)
        assert await shop.deployment.outbox() == []
        assert worker.count("records_damaged_total") == 1
