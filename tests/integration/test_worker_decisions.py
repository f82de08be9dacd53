"""A person decides about held replies, and a stuck provider is nobody else's trouble."""

from __future__ import annotations

import asyncio

import pytest

from consumer import replies, sends
from consumer.slots import SendSlots
from shared.connect import Pipe
from shared.unsent import DiscardCode, ResendCode, Unsent
from tests.support.channel import SENT, Shop, channel_to, shop_with
from tests.support.deployment import RunningWorker, deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("no_typing")

REFUSED = Answer(status=400)


async def undecided(worker: RunningWorker, count: int, state: str = "failed") -> None:
    """Wait until the worker shows so many."""
    name = "replies_undecided"
    await eventually(lambda: worker.count(name, state=state) == count, f"{count} {state}")


def unsent_of(shop: Shop, pipe: Pipe) -> Unsent:
    """What ``inturn outbox`` does."""
    return Unsent(pipe, shop.deployment.keys)


async def test_a_refused_reply_is_sent_when_a_person_says_so(
    redis_url: str, prefix: str, pipe: Pipe
) -> None:
    """The owner sends it without a takeover, the handler is not called, and nothing waits then."""
    async with (
        shop_with(redis_url, prefix, send=[REFUSED, SENT], partitions=1) as shop,
        shop.deployment.worker() as worker,
    ):
        await shop.deployment.say("alice", "1")
        await undecided(worker, 1)
        takeovers = worker.count("takeovers_total", reason="repair")
        [reply_id] = await unsent_of(shop, pipe).undecided_ids()
        assert await unsent_of(shop, pipe).resend(reply_id) is ResendCode.RELEASED
        await shop.sent(1)
        await undecided(worker, 0)
        assert shop.texts() == ["to 1", "to 1"]
        assert len(shop.handler.calls) == 1
        assert worker.count("takeovers_total", reason="repair") == takeovers


async def test_a_resent_reply_goes_before_the_users_later_ones(
    redis_url: str, prefix: str, pipe: Pipe
) -> None:
    """But for the one that is on its way at that moment."""
    release = asyncio.Event()

    async def send(call: HandlerCall) -> Answer:
        if call.json["text"] == "to 2":
            await release.wait()
        return REFUSED if len(shop.provider.calls) == 1 else SENT

    async with (
        shop_with(redis_url, prefix, send=send, partitions=1) as shop,
        shop.deployment.worker() as worker,
    ):
        await shop.deployment.say("alice", "1", "2", "3", "4")
        await shop.provider.wait_for_calls(2)
        outbox = worker.partitions[0].sender.outbox
        await eventually(lambda: len(outbox._queues["shop", "alice"]) == 3, "all replies")
        [reply_id] = await unsent_of(shop, pipe).undecided_ids()
        await unsent_of(shop, pipe).resend(reply_id)
        await eventually(lambda: not outbox.held, "the decision")
        release.set()
        await shop.sent(4)
        assert shop.texts() == ["to 1", "to 2", "to 1", "to 3", "to 4"]


async def test_replies_resent_together_leave_in_their_order(
    redis_url: str, prefix: str, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the older one was held again after the younger."""
    monkeypatch.setattr("consumer.sender.HELD_CHECK_S", 600.0)
    send = [REFUSED, REFUSED, REFUSED, SENT]
    async with (
        shop_with(redis_url, prefix, send=send, partitions=1) as shop,
        shop.deployment.worker() as worker,
    ):
        await shop.deployment.say("alice", "1", "2")
        await undecided(worker, 2)
        unsent, partition = unsent_of(shop, pipe), worker.partitions[0]
        first, second = await unsent.undecided_ids()
        await unsent.resend(first)
        await shop.provider.wait_for_calls(3)
        await eventually(lambda: len(partition.sender.outbox.held) == 2, "it is held again")
        with monkeypatch.context() as deaf:
            deaf.setattr(partition.sender, "ring", lambda _instance: None)
            await unsent.resend(first)
            await unsent.resend(second)
        partition.ring()
        await shop.sent(2)
        assert shop.texts() == ["to 1", "to 2", "to 1", "to 1", "to 2"]


async def test_a_decision_is_found_though_no_bell_rings(
    redis_url: str, prefix: str, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ring may be lost: held replies are looked at by themselves, too."""
    for module in ("consumer.sender", "consumer.replies"):
        monkeypatch.setattr(f"{module}.HELD_CHECK_S", 0.05)
    async with (
        shop_with(redis_url, prefix, send=[REFUSED, SENT], partitions=1) as shop,
        shop.deployment.worker() as worker,
    ):
        await shop.deployment.say("alice", "1")
        await undecided(worker, 1)
        monkeypatch.setattr(worker.partitions[0].sender, "ring", lambda _instance: None)
        [reply_id] = await unsent_of(shop, pipe).undecided_ids()
        await unsent_of(shop, pipe).resend(reply_id)
        await shop.sent(1)
        assert replies.HELD_CHECK_S == 0.05


async def three(unsent: Unsent) -> None:
    """Wait until three replies are in the outbox."""

    async def are_there() -> bool:
        return len(await unsent.newest(3)) == 3

    await eventually(are_there, "three replies")


async def test_a_discarded_reply_is_forgotten(redis_url: str, prefix: str, pipe: Pipe) -> None:
    """One that waited for a person, and one whose send was to be repeated: the next one leaves."""
    send = [REFUSED, Answer(status=429, headers={"Retry-After": "3"}), SENT]
    async with (
        shop_with(redis_url, prefix, send=send, partitions=1) as shop,
        shop.deployment.worker() as worker,
    ):
        await shop.deployment.say("alice", "1", "2", "3")
        await shop.provider.wait_for_calls(2)
        unsent = unsent_of(shop, pipe)
        await three(unsent)
        _, second, first = await unsent.newest(3)

        async def is_discarded() -> bool:
            return await unsent.discard(second.id) is DiscardCode.DISCARDED

        await eventually(is_discarded, "the second to be postponed, and discarded")
        assert await unsent.discard(first.id) is DiscardCode.DISCARDED
        await shop.sent(1)
        await undecided(worker, 0)
        assert shop.texts() == ["to 1", "to 2", "to 3"]
        assert worker.count("takeovers_total", reason="repair") == 0


async def test_held_replies_are_counted_by_the_next_owner(
    redis_url: str, prefix: str, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait, with their reason, for as long as nobody decides; one hides none behind it."""
    monkeypatch.setattr("consumer.replies.HELD_CHECK_S", 600.0)
    async with shop_with(redis_url, prefix, send=[REFUSED, SENT], loop_limit=1) as shop:
        async with shop.deployment.worker() as first:
            await shop.deployment.say("alice", "1", "2")
            await undecided(first, 1)
            await undecided(first, 1, "held")
        async with shop.deployment.worker() as second:
            await undecided(second, 1)
            await undecided(second, 1, "held")
            for reply_id in await unsent_of(shop, pipe).undecided_ids():
                await unsent_of(shop, pipe).resend(reply_id)
            await shop.sent(2)
            assert shop.texts() == ["to 1", "to 1", "to 2"]


async def test_what_nobody_decided_about_outlives_its_retention(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed and held replies stay and are counted, while one that could not be sent goes."""
    monkeypatch.setattr(replies, "KEPT_CHECK_S", 0.05)
    async with shop_with(
        redis_url, prefix, send=[REFUSED], loop_limit=1, retention_ms=1, partitions=1
    ) as shop:
        made = shop.deployment
        async with made.worker() as worker:
            await made.say("alice", "1", "2")
            await undecided(worker, 1)
            await undecided(worker, 1, "held")
            await made.say("bob", "3", instance="without a channel")

            async def has_had_its_time() -> bool:
                return "kept" in [row["what"] for row in await made.journal()]

            await eventually(has_had_its_time, "a reply that has had its time")
            assert [reply.texts for reply in await made.outbox()] == [("to 1",), ("to 2",)]
        async with made.worker() as second:
            await undecided(second, 1)
            await undecided(second, 1, "held")


async def test_a_stuck_provider_holds_no_other_instance_back(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every slot taken by sends that do not end, another instance's reply leaves at once."""
    monkeypatch.setattr(sends, "SendSlots", lambda: SendSlots(each=3, shared=3))
    never = asyncio.Event()

    async def stuck(_call: HandlerCall) -> Answer:
        await never.wait()
        return SENT

    async with HandlerServer(stuck) as broken, HandlerServer([SENT]) as sound:
        instances = {"shop": channel_to(broken), "clinic": channel_to(sound)}
        async with (
            deployment(
                redis_url, prefix, instances=instances, mode="pass_through", handler="echo"
            ) as made,
            made.worker() as worker,
        ):
            for user in range(5):
                await made.say(f"user {user}", "hi")
            await broken.wait_for_calls(3)
            await made.say("ann", "hi", instance="clinic")
            await sound.wait_for_calls(1)
            sent = "replies_sent_total"
            await eventually(lambda: worker.count(sent, provider="evolution") == 1, "it is sent")
            assert len(broken.calls) == 3
            never.set()
