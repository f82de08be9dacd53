"""What is found though its bell was not heard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from consumer import silence
from consumer.partition import Partition
from shared.connect import Pipe
from shared.model import EntryId, window_id
from shared.wire import OutboxReply, encode_reply
from tests.support.bells import last_heard
from tests.support.channel import SENT, channel_to
from tests.support.deployment import Deployment, RunningWorker, deployment
from tests.support.handler_server import HandlerServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("no_typing")

LATER = "99999999999999-1"
"""An id that no ring of today reaches."""


@asynccontextmanager
async def deafened(
    redis_url: str, prefix: str, server: HandlerServer
) -> AsyncIterator[tuple[Deployment, RunningWorker]]:
    """A worker that has heard a ring of the future, so that it hears none of today."""
    async with (
        deployment(
            redis_url,
            prefix,
            handler=server.url,
            mode="pass_through",
            partitions=1,
            instances={"shop": channel_to(server)},
        ) as shop,
        shop.worker() as worker,
    ):
        await worker.owns(1)
        bell = shop.keys.partition(0).bell
        await shop.redis.xadd(bell, {"r": "1"}, id=LATER, maxlen=1, approximate=False)
        bells = worker.worker._bells
        await eventually(lambda: last_heard(bells, bell) == LATER.encode(), "the late ring")
        await shop.redis.delete(bell)
        yield shop, worker


async def test_a_message_is_read_though_its_ring_was_not_heard(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in ``ready`` is found by the look at all partitions."""
    monkeypatch.setattr(silence, "LOOK_S", 0.2)
    async with HandlerServer() as server, deafened(redis_url, prefix, server) as (shop, _):
        await shop.say("alice", "hi")
        await server.wait_for_calls(1)


async def test_a_reply_is_sent_though_its_ring_was_not_heard(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another worker put into the outbox is found by the look at all partitions."""
    monkeypatch.setattr(silence, "LOOK_S", 0.2)
    async with HandlerServer([SENT]) as server, deafened(redis_url, prefix, server) as (shop, _):
        await put_reply(shop)
        (call,) = await server.wait_for_calls(1)
        assert call.json["text"] == "later"


async def test_only_those_with_news_are_rung(
    redis_url: str, prefix: str, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None while all is known; the one with a reply that it does not know."""
    rung: list[int] = []
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, partitions=4) as shop,
        shop.worker() as worker,
    ):
        await worker.owns(4)
        held = [worker.partitions[number] for number in range(4)]
        monkeypatch.setattr(Partition, "ring", lambda self: rung.append(self.number))
        await silence.look(pipe, shop.keys, held)
        assert rung == []
        await put_reply(shop, number=2)
        await silence.look(pipe, shop.keys, held)
        assert rung == [2]


async def put_reply(shop: Deployment, number: int = 0) -> None:
    """As the finish of a worker that has lost the partition does it, but for the bell."""
    reply = OutboxReply(
        window_id=window_id("shop", "alice", EntryId(1, 0)),
        instance="shop",
        user="alice",
        texts=("later",),
        provider="evolution",
        reply_to="",
        message_ids=("M",),
    )
    await shop.redis.xadd(shop.keys.partition(number).outbox, {"m": encode_reply(reply)})
