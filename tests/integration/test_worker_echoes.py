"""Whose echo it is: a worker's own sends mute nobody, and a person's message does."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.channel import echoed
from tests.support.handler_server import Answer, HandlerCall
from tests.support.muting import muting_shop, taken
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("no_typing")


async def test_our_own_echo_mutes_nobody(redis_url: str, prefix: str) -> None:
    """After the provider's answer its echo is known."""
    async with muting_shop(redis_url, prefix) as shop, shop.deployment.worker():
        await shop.deployment.say("ann", "1")
        await shop.sent(1)
        assert await shop.hears_echo("id of to 1") == "echo"
        await shop.deployment.say("ann", "2")
        await shop.sent(2)


async def test_an_echo_before_the_providers_answer_mutes_nobody(
    redis_url: str, prefix: str
) -> None:
    """Neither the window that begins while the send is on its way, nor a later one."""
    release = asyncio.Event()

    async def send(call: HandlerCall) -> Answer:
        if call.json["text"] == "to 1":
            await release.wait()
        return taken(call)

    async with muting_shop(redis_url, prefix, send=send) as shop, shop.deployment.worker():
        await shop.deployment.say("ann", "1")
        await shop.provider.wait_for_calls(1)
        assert await shop.hears_echo("id of to 1") == "human"
        await shop.deployment.say("ann", "2")
        await shop.handler.wait_for_calls(2)
        release.set()
        await shop.sent(2)
        assert await shop.hears_echo("id of to 1") == "echo"
        await shop.deployment.say("ann", "3")
        await shop.sent(3)
        assert await shop.outcomes() == ["answered"] * 3


async def test_a_person_who_writes_while_we_send_mutes_from_the_sends_end(
    redis_url: str, prefix: str
) -> None:
    """Until then nobody can tell; then the reply that was made meanwhile is dropped, too."""
    sending, answering = asyncio.Event(), asyncio.Event()

    async def send(call: HandlerCall) -> Answer:
        await sending.wait()
        return taken(call)

    async def answer(call: HandlerCall) -> Answer:
        if call.json["text"] == "2":
            await answering.wait()
        return echoed(call)

    async with (
        muting_shop(redis_url, prefix, send=send, answer=answer) as shop,
        shop.deployment.worker(),
    ):
        await shop.deployment.say("ann", "1")
        await shop.provider.wait_for_calls(1)
        await shop.hears_echo("id of to 1")
        await shop.hears_echo("by hand")
        await shop.deployment.say("ann", "2")
        await shop.handler.wait_for_calls(2)
        sending.set()
        await shop.sent(1)
        answering.set()
        await shop.deployment.finished()
        await shop.deployment.say("ann", "3")
        await shop.deployment.finished()
        assert await shop.outcomes() == ["answered", "muted", "muted"]
        assert len(shop.handler.calls) == 2
        assert len(shop.provider.calls) == 1


@pytest.mark.parametrize("policy", ["resend", "hold"])
async def test_the_echo_of_a_send_whose_worker_died_mutes_nobody(
    redis_url: str, prefix: str, policy: str
) -> None:
    """Whether it came before the takeover or after it: the user is answered as ever."""
    never = asyncio.Event()

    async def send(call: HandlerCall) -> Answer:
        if len(shop.provider.calls) == 1:
            await never.wait()
        return taken(call)

    async with muting_shop(
        redis_url, prefix, send=send, outbox_policy=policy, lease_ms=600
    ) as shop:
        async with shop.deployment.worker() as first:
            await shop.deployment.say("ann", "1")
            await shop.provider.wait_for_calls(1)
            await first.crash()
        assert await shop.hears_echo("of the first attempt") == "human"
        async with shop.deployment.worker() as second:
            if policy == "resend":
                await shop.sent(1)
            else:
                held = "replies_held_total"
                await eventually(lambda: second.count(held, reason="ambiguous") == 1, "it is held")
            assert await shop.hears_echo("late, of the first attempt") == "echo"
            await shop.deployment.say("ann", "2")
            await shop.sent(2 if policy == "resend" else 1)
            assert await shop.outcomes() == ["answered", "answered"]


async def test_a_provider_that_tells_no_id_mutes_nobody(redis_url: str, prefix: str) -> None:
    """Its echoes cannot be known: those of a minute are taken for ours."""
    async with (
        muting_shop(redis_url, prefix, send=[Answer.json({}, status=201)]) as shop,
        shop.deployment.worker(),
    ):
        await shop.deployment.say("ann", "1")
        await shop.sent(1)
        assert await shop.hears_echo("whose?") == "echo"
        await shop.deployment.say("ann", "2")
        await shop.sent(2)


async def test_while_a_provider_takes_nothing_a_person_mutes(redis_url: str, prefix: str) -> None:
    """A 429 is certain: nothing left, so what leaves is a person's."""
    limited = Answer(status=429, headers={"Retry-After": "3600"})
    async with (
        muting_shop(redis_url, prefix, send=[limited]) as shop,
        shop.deployment.worker() as worker,
    ):
        await shop.deployment.say("ann", "1")
        failures = "send_failures_total"
        await eventually(lambda: worker.count(failures, provider="evolution") == 1, "a failure")
        key = shop.deployment.keys.of("shop", "ann").human("shop", "ann")

        async def has_ended() -> bool:
            return not await shop.deployment.redis.exists(key)

        await eventually(has_ended, "the end of the send")
        assert await shop.hears_echo("by hand") == "human"
        await shop.deployment.say("ann", "2")
        await shop.deployment.finished()
        assert await shop.outcomes() == ["answered", "muted"]


async def test_an_echo_mutes_nobody_while_another_worker_still_sends(
    redis_url: str, prefix: str
) -> None:
    """The partition has moved on, and the send of its last owner has not ended yet."""
    release = asyncio.Event()

    async def send(call: HandlerCall) -> Answer:
        if call.json["text"] == "to 1":
            await release.wait()
        return taken(call)

    async with (
        muting_shop(redis_url, prefix, send=send, drain_ms=20_000) as shop,
        shop.deployment.worker() as first,
    ):
        await shop.deployment.say("ann", "1")
        await shop.provider.wait_for_calls(1)
        async with shop.deployment.worker() as second:
            first.stopping.set()
            await second.owns(4)
            assert await shop.hears_echo("id of to 1") == "human"
            await shop.deployment.say("ann", "2")
            await shop.handler.wait_for_calls(2)
            await shop.hears_echo("by hand", user="bob")
            await shop.deployment.say("bob", "hi")
            await shop.deployment.finished()
            release.set()
            await shop.sent(2)
            assert await shop.hears_echo("id of to 1") == "echo"
            assert sorted(await shop.outcomes()) == ["answered", "answered", "muted"]
