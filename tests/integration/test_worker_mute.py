"""A person answers by hand: the user's windows are finished in silence for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from ingest.echoes import EchoJudge
from shared.keys import conversation_field
from shared.mutes import Mutes
from shared.providers import Echo
from shared.trace import Trace
from tests.support.channel import Shop, echoed, shop_with
from tests.support.handler_server import Answer, HandlerCall, Script, answer_after
from tests.support.pipes import running_pipe
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("no_typing")


@dataclass(frozen=True, slots=True, kw_only=True)
class MutingShop(Shop):
    """With what ingest does about echoes and mutes."""

    judge: EchoJudge
    trace: Trace
    mutes: Mutes

    async def hears_echo(self, message_id: str, user: str = "ann") -> str:
        """The provider reports a message that left the account; what ingest counts it as."""
        echo = Echo(instance="shop", user=user, message_id=message_id)
        ((kind, count),) = (await self.judge.judge("shop", [echo])).items()
        assert count == 1
        return kind

    async def outcomes(self) -> list[str]:
        """What became of windows, in order."""
        return [row["what"] for row in await self.deployment.journal() if row["what"] != "sent"]


def taken(call: HandlerCall) -> Answer:
    """The provider takes a text; its id tells which."""
    return Answer.json({"key": {"id": f"id of {call.json['text']}"}}, status=201)


@asynccontextmanager
async def muting_shop(
    redis_url: str,
    prefix: str,
    *,
    send: Script = taken,
    on_human: str = "mute:5",
    **changes: Any,
) -> AsyncIterator[MutingShop]:
    """As ``shop_with``; each text that the provider takes has an id of its own."""
    async with (
        shop_with(redis_url, prefix, send=send, on_human=on_human, **changes) as shop,
        running_pipe(redis_url) as pipe,
    ):
        made = shop.deployment
        yield MutingShop(
            deployment=made,
            provider=shop.provider,
            handler=shop.handler,
            judge=EchoJudge(pipe, made.keys, made.settings),
            trace=Trace(pipe, made.keys),
            mutes=Mutes(pipe, made.keys),
        )


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


async def test_a_conversation_with_a_person_is_finished_without_a_call(
    redis_url: str, prefix: str
) -> None:
    """The window's last message decides, in the user's order; its status says why."""
    async with (
        muting_shop(redis_url, prefix, on_human="ignore", mode="window", max_messages=2) as shop,
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
