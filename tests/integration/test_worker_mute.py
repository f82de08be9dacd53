"""A person answers by hand: the user's windows are finished in silence for a while."""

from __future__ import annotations

import asyncio

import pytest

from shared.keys import conversation_field
from tests.support.channel import echoed
from tests.support.handler_server import Answer, HandlerCall, answer_after
from tests.support.muting import muting_shop
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("no_typing")


async def test_a_persons_message_mutes_the_user(redis_url: str, prefix: str) -> None:
    """No handler is called, the window is done in silence, and the status says why."""
    async with muting_shop(redis_url, prefix) as shop, shop.deployment.worker() as worker:
        assert await shop.hears_echo("by hand") == "human"
        await shop.deployment.say("ann", "hi", message_id="M-ann")
        await shop.deployment.say("bob", "hi")
        await shop.sent(1)
        await shop.deployment.finished()
        assert [call.json["user"] for call in shop.handler.calls] == ["bob"]
        assert worker.count("messages_finished_total", outcome="muted") == 1
        found = await shop.trace.message("shop", "ann", "M-ann")
        assert found.state.value == "muted"


@pytest.mark.parametrize("on_human", ["ignore", "mute:5"])
async def test_a_muted_user_is_not_answered(redis_url: str, prefix: str, on_human: str) -> None:
    """Muted by decision: no handler is called until the unmute, and others are answered."""
    async with (
        muting_shop(redis_url, prefix, on_human=on_human) as shop,
        shop.deployment.worker() as worker,
    ):
        await shop.mutes.mute("shop", "ann", 60_000)
        await shop.deployment.say("ann", "1", message_id="M-ann")
        await shop.deployment.say("bob", "hi")
        await shop.sent(1)
        await shop.deployment.finished()
        assert [call.json["user"] for call in shop.handler.calls] == ["bob"]
        assert worker.count("messages_finished_total", outcome="muted") == 1
        assert (await shop.trace.message("shop", "ann", "M-ann")).state.value == "muted"
        await shop.mutes.unmute("shop", "ann")
        await shop.deployment.say("ann", "2")
        await shop.sent(2)


async def test_a_reply_is_dropped_when_somebody_muted_meanwhile(
    redis_url: str, prefix: str
) -> None:
    """Where no person's message mutes, too: nothing is asked before, the finish finds it."""
    release = asyncio.Event()

    async def answer(call: HandlerCall) -> Answer:
        await release.wait()
        return echoed(call)

    async with (
        muting_shop(redis_url, prefix, answer=answer, on_human="ignore") as shop,
        shop.deployment.worker() as worker,
    ):
        await shop.deployment.say("ann", "1")
        await shop.handler.wait_for_calls(1)
        await shop.mutes.mute("shop", "ann", 60_000)
        release.set()
        await shop.deployment.finished()
        assert await shop.outcomes() == ["muted"]
        assert shop.provider.calls == []
        muted = "messages_finished_total"
        await eventually(lambda: worker.count(muted, outcome="muted") == 1, "it is counted")


async def test_a_handler_hands_its_user_over(redis_url: str, prefix: str) -> None:
    """``mute_s``: its reply is sent, what the user writes then is a person's to answer."""
    answer = [Answer.json({"reply": "One moment.", "mute_s": 600})]
    async with (
        muting_shop(redis_url, prefix, answer=answer, on_human="ignore") as shop,
        shop.deployment.worker(),
    ):
        await shop.deployment.say("ann", "a person, please", "hello?")
        await shop.sent(1)
        await shop.deployment.finished()
        assert await shop.outcomes() == ["answered", "muted"]
        assert [call.json["text"] for call in shop.provider.calls] == ["One moment."]
        assert len(shop.handler.calls) == 1


async def test_an_unmute_ends_what_a_person_began(redis_url: str, prefix: str) -> None:
    """The webhook of the person's message comes again, and mutes no more; a new one does."""
    async with muting_shop(redis_url, prefix) as shop, shop.deployment.worker():
        await shop.hears_echo("by hand")
        await shop.mutes.unmute("shop", "ann")
        await shop.hears_echo("by hand")
        await shop.deployment.say("ann", "1")
        await shop.sent(1)
        await shop.hears_echo("by hand again")
        await shop.deployment.say("ann", "2")
        await shop.deployment.finished()
        assert await shop.outcomes() == ["answered", "muted"]


async def test_the_mute_ends(redis_url: str, prefix: str) -> None:
    """When its minutes are over, the user is answered again."""
    async with muting_shop(redis_url, prefix) as shop, shop.deployment.worker():
        await shop.hears_echo("by hand")
        key = shop.deployment.keys.of("shop", "ann").human("shop", "ann")
        ((field, came),) = (await shop.deployment.redis.hgetall(key)).items()
        await shop.deployment.redis.hset(key, field, str(int(came) - 5 * 60_000))
        await shop.deployment.say("ann", "hi")
        await shop.sent(1)


async def test_where_it_is_ignored_a_person_changes_nothing(redis_url: str, prefix: str) -> None:
    """``ON_HUMAN=ignore``: it is counted, and the user is answered."""
    async with (
        muting_shop(redis_url, prefix, on_human="ignore") as shop,
        shop.deployment.worker(),
    ):
        assert await shop.hears_echo("by hand") == "human"
        await shop.deployment.say("ann", "hi")
        await shop.sent(1)


async def test_a_reply_is_dropped_when_a_person_was_faster(redis_url: str, prefix: str) -> None:
    """The person wrote while the handler was at work."""
    release = asyncio.Event()

    async def answer(call: HandlerCall) -> Answer:
        await release.wait()
        return echoed(call)

    async with muting_shop(redis_url, prefix, answer=answer) as shop, shop.deployment.worker():
        await shop.deployment.say("ann", "1")
        await shop.handler.wait_for_calls(1)
        await shop.hears_echo("by hand")
        release.set()
        await shop.deployment.finished()
        assert await shop.outcomes() == ["muted"]
        assert await shop.deployment.outbox() == []
        assert shop.provider.calls == []


async def test_a_handler_hands_over_though_a_person_was_faster(redis_url: str, prefix: str) -> None:
    """Its reply is needless by then; for how long it gave the user away is not."""
    release = asyncio.Event()

    answer = answer_after(release, Answer.json({"reply": "One moment.", "mute_s": 600}))
    async with muting_shop(redis_url, prefix, answer=answer) as shop, shop.deployment.worker():
        await shop.deployment.say("ann", "1")
        await shop.handler.wait_for_calls(1)
        await shop.hears_echo("by hand")
        release.set()
        await shop.deployment.finished()
        assert await shop.outcomes() == ["muted"]
        muted = shop.deployment.keys.of("shop", "ann").muted
        assert await shop.deployment.redis.zscore(muted, conversation_field("shop", "ann"))


async def test_a_mute_holds_for_another_worker(redis_url: str, prefix: str) -> None:
    """What a person wrote stands in Redis; the next owner of the partition asks as the first."""
    async with muting_shop(redis_url, prefix, lease_ms=600) as shop:
        async with shop.deployment.worker() as first:
            await shop.hears_echo("by hand")
            await shop.deployment.say("ann", "1")
            await shop.deployment.finished()
            await first.crash()
        async with shop.deployment.worker():
            await shop.deployment.say("ann", "2")
            await shop.deployment.finished()
        assert await shop.outcomes() == ["muted", "muted"]
        assert shop.handler.calls == []


async def test_a_conversation_with_a_person_is_finished_without_a_call(
    redis_url: str, prefix: str
) -> None:
    """The window's last message decides, in the user's order; its status says why."""
    async with (
        muting_shop(
            redis_url,
            prefix,
            on_human="ignore",
            mode="window",
            max_messages=2,
            max_wait_ms=60_000,
        ) as shop,
        shop.deployment.worker() as worker,
    ):
        say = shop.deployment.say
        await say("ann", "taken over", sent_at=2000, with_human=True, message_id="M-ann")
        await say("ann", "earlier", sent_at=1000)
        await say("bob", "taken over", sent_at=1000, with_human=True)
        await say("bob", "given back", sent_at=2000)
        await shop.sent(1)
        await shop.deployment.finished()
        assert [call.json["user"] for call in shop.handler.calls] == ["bob"]
        assert worker.count("messages_finished_total", outcome="with_human") == 2
        assert (await shop.trace.message("shop", "ann", "M-ann")).state.value == "with_human"


async def test_a_key_of_another_type_stops_no_window(redis_url: str, prefix: str) -> None:
    """Somebody else writes into this Redis: the user is answered all the same."""
    async with muting_shop(redis_url, prefix) as shop, shop.deployment.worker():
        key = shop.deployment.keys.of("shop", "ann").human("shop", "ann")
        await shop.deployment.redis.set(key, "x")
        await shop.deployment.say("ann", "1", "2")
        await shop.sent(2)
