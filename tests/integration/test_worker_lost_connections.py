"""A worker whose connections are lost while it sends: each text leaves once, and mutes nobody."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress

import pytest
from redis.exceptions import RedisError

from ingest.echoes import EchoJudge
from shared.providers import Echo
from shared.providers.evolution import Evolution
from shared.redis_binary import ServerBinary
from tests.support.channel import channel_to
from tests.support.deployment import Deployment, deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("no_typing")

USERS = ("ann", "bob", "cid", "dan")
EACH = 4
PARTS = ("one two", "three", "bye")
LOST_AT = {2, 9, 17, 30}
"""The provider's calls during which every connection to Redis is lost."""


def answered(call: HandlerCall) -> Answer:
    """Two texts, the first of them too long for one part."""
    number = call.json["text"]
    return Answer.reply(f"{number}one two {number}three", f"{number}bye")


class Provider:
    """Evolution; its echo of each text comes before its answer to our call."""

    def __init__(self) -> None:
        self.texts: defaultdict[str, list[str]] = defaultdict(list)
        self.calls = 0
        self.made: Deployment | None = None
        self.judge: EchoJudge | None = None

    async def take(self, call: HandlerCall) -> Answer:
        """Take a text."""
        assert self.made is not None
        assert self.judge is not None
        self.calls += 1
        sent_id, user = f"id-{self.calls}", call.json["number"]
        self.texts[user].append(call.json["text"])
        echo = Echo(instance="shop", user=user, message_id=sent_id)
        await self.judge.judge("shop", [echo])
        if self.calls in LOST_AT:
            with suppress(RedisError):  # two may kill each other's
                await self.made.kill_connections()
        return Answer.json({"key": {"id": sent_id}}, status=201)


async def test_each_text_leaves_once_and_in_order(
    redis_binary: ServerBinary, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No reply is sent twice without a crash, whatever was on its way; no echo is a person's."""
    monkeypatch.setattr(Evolution, "text_max", 8)
    provider = Provider()
    async with HandlerServer(provider.take) as server, HandlerServer(answered) as handler:
        own = channel_to(server, on_human="mute:5")
        changes = {"handler": handler.url, "mode": "pass_through", "loop_limit": 1000}
        with RedisServer(redis_binary) as redis:
            async with (
                deployment(redis.url, prefix, instances={"shop": own}, **changes) as made,
                running_pipe(redis.url) as pipe,
            ):
                provider.made, provider.judge = made, EchoJudge(pipe, made.keys, made.settings)
                for number in range(EACH):
                    for user in USERS:
                        await made.say(user, str(number))
                async with made.worker():
                    # no connection of our own to be lost until the last text has come
                    await server.wait_for_calls(EACH * len(USERS) * len(PARTS))

                    async def is_done() -> bool:
                        sent = sum(row["what"] == "sent" for row in await made.journal())
                        return sent == EACH * len(USERS)

                    await eventually(is_done, "all replies sent")
                outcomes = {row["what"] for row in await made.journal()}
    assert outcomes == {"answered", "sent"}
    expected = [f"{number}{part}" for number in range(EACH) for part in PARTS]
    assert provider.texts == dict.fromkeys(USERS, expected)
