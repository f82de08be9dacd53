"""What a model is told of a conversation, through workers that come and go."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.deployment import Deployment, deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.models import CONVERSATION, chat_message, completion, openai_error

BASE: dict[str, Any] = {"mode": "pass_through", "lease_ms": 1000}


def model_at(server: HandlerServer, **changes: Any) -> dict[str, Any]:
    """The settings that name a model behind ``server``."""
    base_url = server.url.removesuffix("/answer") + "/v1"
    return {**BASE, "handler": "openai:small-one", "handler_base_url": base_url, **changes}


def told(call: HandlerCall) -> list[str]:
    """The texts that the model was told, the window's last."""
    return [one["content"] for one in call.json["messages"]]


async def histories(shop: Deployment) -> int:
    """How many conversations are remembered."""
    pattern = f"{shop.keys.prefix}:*:history:*"
    return len([key async for key in shop.redis.scan_iter(pattern, count=1000)])


async def test_a_model_knows_what_it_answered(redis_url: str, prefix: str) -> None:
    """Each window after what was said before it; users apart."""
    async with HandlerServer(lambda call: completion(f"re: {told(call)[-1]}")) as server:
        async with deployment(redis_url, prefix, **model_at(server)) as shop, shop.worker():
            for text in ("one", "two", "three"):
                await shop.say("alice", text)
                await shop.finished()
            await shop.say("bob", "four")
            await shop.finished()
            assert [reply.texts for reply in await shop.outbox()].count(("re: three",)) == 1
        last, other = server.calls[-2:]
    assert told(last) == ["one", "re: one", "two", "re: two", "three"]
    assert told(other) == ["four"]


async def test_a_crash_before_the_finish_is_not_remembered(redis_url: str, prefix: str) -> None:
    """The window is handled again under the same history, and remembered once."""
    asked = asyncio.Event()

    async def script(call: HandlerCall) -> Answer:
        if told(call)[-1] == "two" and not asked.is_set():
            asked.set()
            await asyncio.get_running_loop().create_future()
        return completion(f"re: {told(call)[-1]}")

    async with (
        HandlerServer(script) as server,
        deployment(redis_url, prefix, **model_at(server)) as shop,
    ):
        async with shop.worker() as worker:
            await shop.say("alice", "one")
            await shop.finished()
            await shop.say("alice", "two")
            await asyncio.wait_for(asked.wait(), 10)
            await worker.crash()
        async with shop.worker():
            await shop.finished()
            await shop.say("alice", "three")
            await shop.finished()
        before, cut, again, last = server.calls
    assert told(before) == ["one"]
    assert told(cut) == told(again) == ["one", "re: one", "two"]
    assert told(last) == ["one", "re: one", "two", "re: two", "three"]


async def test_what_was_given_up_is_not_remembered(redis_url: str, prefix: str) -> None:
    """Neither a dead letter nor a silence was ever said to the user."""
    answers = [openai_error(400, "context_length_exceeded"), completion(""), completion("hi")]
    async with HandlerServer(answers) as server:
        async with deployment(redis_url, prefix, **model_at(server)) as shop, shop.worker():
            await shop.say("alice", "one")
            await shop.finished()
            await shop.say("alice", "two")
            await shop.finished()
            assert await histories(shop) == 0
            assert len(await shop.dead_letters()) == 1
            await shop.say("alice", "three")
            await shop.finished()
            assert await histories(shop) == 1
        assert told(server.calls[-1]) == ["three"]


async def test_nothing_is_remembered_where_nobody_wants_it(redis_url: str, prefix: str) -> None:
    """Other handlers leave nothing, nor does a model with HISTORY_MESSAGES 0."""
    async with HandlerServer([completion("hi")]) as server:
        changes = model_at(server, history_messages=0)
        async with deployment(redis_url, prefix, **changes) as shop, shop.worker():
            await shop.say("alice", "one")
            await shop.finished()
            assert await histories(shop) == 0
    async with HandlerServer([Answer.reply("hi")]) as server:
        changes = {**BASE, "handler": server.url}
        async with deployment(redis_url, f"{prefix}-http", **changes) as shop, shop.worker():
            await shop.say("alice", "one")
            await shop.finished()
            assert await histories(shop) == 0


async def test_a_dify_conversation_outlives_its_worker(redis_url: str, prefix: str) -> None:
    """The id that Dify gave goes out again, whoever asks."""
    async with HandlerServer([chat_message("hi")]) as server:
        handler = "dify:" + server.url.removesuffix("/answer")
        changes = {**BASE, "handler": handler, "handler_key": "app-secret"}
        async with deployment(redis_url, prefix, **changes) as shop:
            for text in ("one", "two"):
                async with shop.worker():
                    await shop.say("alice", text)
                    await shop.finished()
        ids = [call.json["conversation_id"] for call in server.calls]
    assert ids == ["", CONVERSATION]
