"""The policy ``direct`` when Redis is back: what it is told of, and what it is given."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ingest.away import State
from ingest.echoes import EchoJudge
from ingest.spool.payload import Became, key_of
from shared.connect import open_pipe
from shared.keys import Keys
from shared.providers import Echo
from shared.providers.evolution import Evolution
from shared.settings import Settings
from shared.trace import Trace
from shared.wire import decode_reply
from tests.support.channel import channel_to
from tests.support.direct import count, handled
from tests.support.handler_server import Answer, HandlerServer
from tests.support.redis_server import RedisServer
from tests.support.spooling import INSTANCE, Spooling, message, spooling, stored
from tests.support.waiting import eventually


@pytest.mark.parametrize("status", [500, 404, 400])
async def test_what_fails_is_appended_and_what_follows_it_too(
    status: int, direct: Spooling, durable_redis: RedisServer, keys: Keys, handler: HandlerServer
) -> None:
    """One attempt, whatever was wrong with it; then as usual, in the user's order."""
    handler.script = [Answer(status=status), Answer(status=204)]
    durable_redis.kill()
    assert await direct.send(1)
    await eventually(lambda: count(direct, "failed") == 1, "a failure")
    assert await direct.send(2)
    durable_redis.start()
    await direct.online()
    assert [one.message_id for one in await stored(durable_redis.url, keys)] == ["ann-1", "ann-2"]
    assert len(handler.calls) == 1


async def test_a_reply_that_was_not_sent_goes_into_the_outbox(
    direct: Spooling, durable_redis: RedisServer, keys: Keys, handler: HandlerServer
) -> None:
    """Without a channel, or when its send failed: it waits there as every other one."""
    handler.script = [Answer.reply("one", "two")]
    durable_redis.kill()
    await direct.send(1)
    await handled(direct, 1)
    durable_redis.start()
    await direct.online()

    p = keys.partition(0)
    async with open_pipe(durable_redis.url, timeout_ms=5000, name="look") as pipe:
        [[_, [_, value]]] = await pipe.call("XRANGE", p.outbox, "-", "+")
        assert await pipe.call("XLEN", p.bell) == 1
        found = await located(Trace(pipe, keys), "ann-1")
    reply = decode_reply(value)
    assert (reply.texts, reply.message_ids) == (("one", "two"), ("ann-1",))
    assert found == "answered"


async def located(trace: Trace, message_id: str) -> str:
    """Where the API says that a message is."""
    return (await trace.message(INSTANCE, "ann", message_id)).state.value


async def test_a_reply_leaves_through_the_channel(
    durable_redis: RedisServer, keys: Keys, tmp_path: Path, handler: HandlerServer
) -> None:
    """It is sent while Redis is away, once, and Redis is told that it was."""
    handler.script = [Answer.reply("hello")]
    async with HandlerServer([Answer.json({"key": {"id": "1"}}, 201)]) as provider:
        instances = {INSTANCE: channel_to(provider)}
        settings = Settings(handler=handler.url, instances=instances)
        async with spooling(durable_redis.url, keys, tmp_path, direct=settings) as made:
            durable_redis.kill()
            await made.send(1)
            await provider.wait_for_calls(1)
            await handled(made, 1)
            durable_redis.start()
            await made.online()
            async with open_pipe(durable_redis.url, timeout_ms=5000, name="look") as pipe:
                assert await pipe.call("XLEN", keys.partition(0).outbox) == 0
                found = await located(Trace(pipe, keys), "ann-1")
                echo = Echo(instance=INSTANCE, user="ann", message_id="1")
                assert await EchoJudge(pipe, keys, settings).judge(INSTANCE, [echo]) == {"echo": 1}
        assert found == "sent"
        assert len(provider.calls) == 1
    assert await stored(durable_redis.url, keys) == []


async def test_a_long_text_leaves_in_parts_and_what_failed_is_left(
    durable_redis: RedisServer,
    keys: Keys,
    tmp_path: Path,
    handler: HandlerServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The parts that were taken are not sent again, and their echoes are known as ours."""
    monkeypatch.setattr(Evolution, "text_max", 8)
    handler.script = [Answer.reply("one two three", "bye")]
    taken = [Answer.json({"key": {"id": "1"}}, 201), Answer(status=500)]
    async with HandlerServer(taken) as provider:
        instances = {INSTANCE: channel_to(provider)}
        settings = Settings(handler=handler.url, instances=instances)
        async with spooling(durable_redis.url, keys, tmp_path, direct=settings) as made:
            durable_redis.kill()
            await made.send(1)
            await handled(made, 1)
            outcome = made.spool.outcomes[key_of(message(1))]
    assert [call.json["text"] for call in provider.calls] == ["one two", "three"]
    assert (outcome.became, outcome.sent_ids) == (Became.ANSWERED, ("1",))
    assert outcome.reply is not None
    assert outcome.reply.texts == ("three", "bye")


async def test_a_call_in_hand_is_waited_for_by_the_replay(
    direct: Spooling, durable_redis: RedisServer, keys: Keys, handler: HandlerServer
) -> None:
    """Neither appended while it is handled, nor handled twice; what has not begun is appended."""
    go = asyncio.Event()

    async def answer(_call: Any) -> Answer:
        await go.wait()
        return Answer(status=204)

    handler.script = answer
    durable_redis.kill()
    await direct.send(1)
    await direct.send(2)
    await handler.wait_for_calls(1)
    durable_redis.start()
    await eventually(lambda: direct.appender._is_draining, "the replay")
    assert await stored(durable_redis.url, keys) == []
    assert direct.appender.state is State.SPOOLING
    go.set()
    await direct.online()
    assert [one.message_id for one in await stored(durable_redis.url, keys)] == ["ann-2"]
    assert len(handler.calls) == 1


async def test_what_is_replayed_before_its_call_begins_is_not_handled_here(
    direct: Spooling,
    durable_redis: RedisServer,
    keys: Keys,
    handler: HandlerServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Redis may come back between a message's sync and its handling: then it is an entry."""
    durable_redis.kill()
    await direct.send(1)
    await handled(direct, 1)
    put = direct.spool.put

    async def put_and_see_redis_back(messages: Any) -> None:
        await put(messages)
        durable_redis.start()
        await direct.online()

    monkeypatch.setattr(direct.spool, "put", put_and_see_redis_back)
    assert await direct.send(2)
    await direct.online()
    assert [one.message_id for one in await stored(durable_redis.url, keys)] == ["ann-2"]
    assert not direct.appender._bypass._jobs  # type: ignore[union-attr]
    assert len(handler.calls) == 1


async def test_an_outcome_outlives_its_process(
    durable_redis: RedisServer,
    keys: Keys,
    tmp_path: Path,
    direct_settings: Settings,
    handler: HandlerServer,
) -> None:
    """Who adopts the folder remembers what was handled, and appends what was not."""
    handler.script = [Answer(status=204), Answer(status=500), Answer(status=204)]
    durable_redis.kill()
    async with spooling(durable_redis.url, keys, tmp_path, direct=direct_settings) as dead:
        await dead.send(1)
        await handled(dead, 1)
        await dead.send(2)
        await eventually(lambda: count(dead, "failed") == 1, "a failure")

    async with spooling(durable_redis.url, keys, tmp_path, direct=direct_settings) as heir:
        assert heir.spool.messages == 2
        # ann's second message waits: her third may not overtake it.
        await heir.send(3)
        await heir.send(1, "bob")
        await handled(heir, 1, "bob")
        durable_redis.start()
        await heir.online()

    assert [one.message_id for one in await stored(durable_redis.url, keys)] == ["ann-2", "ann-3"]
    assert len(handler.calls) == 3
