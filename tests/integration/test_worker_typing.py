"""A worker shows "typing" while a handler is at work, through the instance's provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.channel import shop_with
from tests.support.deployment import Deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer, Script, answer_after
from tests.support.waiting import eventually


def taken(call: HandlerCall) -> Answer:
    """The provider takes everything."""
    return Answer.json({"key": {"id": f"3EB0{len(call.path)}"}}, status=201)


@asynccontextmanager
async def both_ends(
    redis_url: str, prefix: str, *, send: Script = taken, answer: Script
) -> AsyncIterator[tuple[Deployment, HandlerServer]]:
    """The deployment and the provider of such a shop."""
    async with shop_with(redis_url, prefix, send=send, answer=answer) as shop:
        yield shop.deployment, shop.provider


def asked(provider: HandlerServer, what: str) -> list[HandlerCall]:
    """The calls of one kind."""
    return [call for call in provider.calls if f"/{what}/" in call.path]


def presences(provider: HandlerServer) -> list[str]:
    """What the user was shown, in order."""
    return [call.json["presence"] for call in asked(provider, "sendPresence")]


async def test_the_user_sees_that_somebody_types(redis_url: str, prefix: str) -> None:
    """Before there is an answer: what it answers is read, and somebody types. Then the text."""
    release = asyncio.Event()

    answer = answer_after(release, Answer.reply("yes"))
    async with (
        both_ends(redis_url, prefix, answer=answer) as (shop, provider),
        shop.worker(),
    ):
        fields = {"reply_to": "49170@s.whatsapp.net", "message_id": "M-1"}
        await shop.say("49170", "open?", **fields)
        await eventually(lambda: asked(provider, "sendPresence"), "typing is shown")
        (read,) = asked(provider, "markMessageAsRead")
        assert [one["id"] for one in read.json["readMessages"]] == ["M-1"]
        assert asked(provider, "sendPresence")[0].json["presence"] == "composing"
        assert asked(provider, "sendText") == []
        release.set()
        await eventually(lambda: asked(provider, "sendText"), "the reply")
        assert len(asked(provider, "markMessageAsRead")) == 1


async def test_silence_takes_it_back(redis_url: str, prefix: str) -> None:
    """Nobody is about to answer."""
    release = asyncio.Event()

    async with (
        both_ends(redis_url, prefix, answer=answer_after(release)) as (shop, provider),
        shop.worker(),
    ):
        await shop.say("49170", "thanks", reply_to="49170@s.whatsapp.net")
        await eventually(lambda: asked(provider, "sendPresence"), "typing is shown")
        release.set()
        await eventually(
            lambda: asked(provider, "sendPresence")[-1].json["presence"] == "paused", "it ends"
        )


@pytest.mark.parametrize("status", [400, 500], ids=["refused", "tried again"])
async def test_a_reply_that_does_not_leave_takes_it_back(
    redis_url: str, prefix: str, status: int
) -> None:
    """No text ends it; once, however often the reply is tried again."""

    def send(call: HandlerCall) -> Answer:
        is_to_fail = "/sendText/" in call.path and len(asked(provider, "sendText")) < 4
        return Answer(status=status) if is_to_fail else taken(call)

    def answer(_call: HandlerCall) -> Answer:
        return Answer.reply("yes")

    async with (
        both_ends(redis_url, prefix, send=send, answer=answer) as (shop, provider),
        shop.worker() as worker,
    ):
        await shop.say("49170", "open?", reply_to="49170@s.whatsapp.net")
        metric, labels = ("replies_held_total", {"reason": "refused"})
        if status == 500:
            metric, labels = ("replies_sent_total", {"provider": "evolution"})
        await eventually(lambda: worker.count(metric, **labels) == 1, "an end of the reply")
        await eventually(lambda: "paused" in presences(provider), "it ends")
        assert presences(provider).count("paused") == 1


async def test_a_text_ends_it_by_itself(redis_url: str, prefix: str) -> None:
    """The next text's end is none of the first one's: nothing is taken back."""

    def answer(_call: HandlerCall) -> Answer:
        return Answer.reply("yes", "until six")

    async with (
        both_ends(redis_url, prefix, answer=answer) as (shop, provider),
        shop.worker() as worker,
    ):
        await shop.say("49170", "open?", reply_to="49170@s.whatsapp.net")
        sent = "replies_sent_total"
        await eventually(lambda: worker.count(sent, provider="evolution") == 1, "the reply")
    assert "paused" not in presences(provider)


@pytest.mark.parametrize("status", [500, None], ids=["fails", "hangs"])
async def test_a_provider_that_shows_nothing_delays_nobody(
    redis_url: str, prefix: str, status: int | None
) -> None:
    """The reply leaves all the same, for it waits for no courtesy."""
    never = asyncio.Event()

    async def send(call: HandlerCall) -> Answer:
        if "/sendText/" in call.path:
            return taken(call)
        if status is None:
            await never.wait()
        return Answer(status=status or 200)

    def answer(_call: HandlerCall) -> Answer:
        return Answer.reply("yes")

    async with (
        both_ends(redis_url, prefix, send=send, answer=answer) as (shop, provider),
        shop.worker() as worker,
    ):
        await shop.say("49170", "open?", reply_to="49170@s.whatsapp.net")
        sent = "replies_sent_total"
        await eventually(lambda: worker.count(sent, provider="evolution") == 1, "the reply")
        assert len(asked(provider, "sendText")) == 1
