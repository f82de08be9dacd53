"""What happens between two texts of one reply, when the worker is not the one any more to send."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from consumer import sending
from consumer.lease import NO_TRUST
from consumer.outbox import OutboxStore
from shared.keys import sent_hash
from shared.providers import SendResult
from tests.support.channel import shop_with
from tests.support.deployment import Deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("no_typing")


@asynccontextmanager
async def shop_of_two_texts(
    redis_url: str, prefix: str, **changes: Any
) -> AsyncIterator[tuple[Deployment, HandlerServer]]:
    """Its handler answers with two texts; its provider gives each call an id of its own."""

    def send(_call: HandlerCall) -> Answer:
        return Answer.json({"key": {"id": f"3EB0{len(shop.provider.calls)}"}}, status=201)

    answer = [Answer.reply("one", "two")]
    changes = {"partitions": 1, **changes}
    async with shop_with(redis_url, prefix, send=send, answer=answer, **changes) as shop:
        yield shop.deployment, shop.provider


async def test_no_text_leaves_whose_worker_lost_trust_while_it_noted_the_one_before(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis may take seconds to answer, and by then the others may send in this worker's place."""
    trusted: list[bool] = []
    advance, send_text = OutboxStore.advance, sending.send_text

    async def advance_slowly(*args: Any) -> bool:
        ours = await advance(*args)
        membership.trust = NO_TRUST
        return ours

    async def watched(*args: Any) -> SendResult:
        trusted.append(membership.is_trusted(time.monotonic()))
        return await send_text(*args)

    monkeypatch.setattr(OutboxStore, "advance", advance_slowly)
    monkeypatch.setattr(sending, "send_text", watched)
    async with (
        shop_of_two_texts(redis_url, prefix) as (shop, provider),
        shop.worker() as worker,
    ):
        membership = worker.worker._membership
        await shop.say("alice", "hi")
        sent = "replies_sent_total"
        await eventually(lambda: worker.count(sent, provider="evolution") == 1, "the reply")
        assert [call.json["text"] for call in provider.calls] == ["one", "two"]
        assert trusted == [True, True]


async def test_a_send_that_another_took_over_leaves_the_ids_of_what_has_left(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the provider's report of a text that we sent would count as a person's, and mute."""
    advance = OutboxStore.advance

    async def advance_too_late(*args: Any) -> bool:
        [(reply_id, record)] = (await shop.redis.hgetall(partition.sending)).items()
        foreign = orjson.loads(record) | {"token": "worker-dead:1:1", "worker": "worker-dead"}
        await shop.redis.hset(partition.sending, reply_id, orjson.dumps(foreign))
        return await advance(*args)

    monkeypatch.setattr(OutboxStore, "advance", advance_too_late)
    rules: dict[str, Any] = {"on_human": "mute:30", "outbox_policy": "hold"}
    async with (
        shop_of_two_texts(redis_url, prefix, **rules) as (shop, provider),
        shop.worker() as worker,
    ):
        partition = shop.keys.partition(0)
        await shop.say("alice", "hi")
        held = "replies_held_total"
        await eventually(lambda: worker.count(held, reason="ambiguous") == 1, "it is held")
        assert [call.json["text"] for call in provider.calls] == ["one"]
        hashed = sent_hash("shop", "alice", "3EB01")
        known = [await shop.redis.hexists(key, hashed) for key in partition.both_sent(hashed)]
        assert any(known)
