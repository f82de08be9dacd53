"""A worker sends replies through their provider: in order, again after failures, held if unsure."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumer import replies
from shared.providers.evolution import Evolution
from shared.trace import Trace
from shared.trace.whereabouts import ReplyState, State
from tests.support.channel import SENT, channel_to, echoed, shop_with
from tests.support.deployment import deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer, answer_first_after
from tests.support.pipes import running_pipe
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("no_typing")


async def test_a_reply_goes_out_once(redis_url: str, prefix: str) -> None:
    """One window gives one ``sendText``, with the instance's token, to the address it came from."""
    async with shop_with(redis_url, prefix) as shop, shop.deployment.worker() as worker:
        await shop.deployment.say("49170", "open?", reply_to="49170@s.whatsapp.net")
        await shop.sent(1)
        (call,) = shop.provider.calls
        assert call.path == "/message/sendText/shop"
        assert call.headers["apikey"] == "planted-token"
        assert call.json == {"number": "49170@s.whatsapp.net", "text": "to open?"}
        assert await shop.deployment.outbox() == []
        assert worker.count("replies_sent_total", provider="evolution") == 1
        window, reply = await shop.deployment.journal()
        assert (window["what"], reply["what"]) == ("answered", "sent")
        assert window["ref"] == reply["ref"]


async def test_silence_sends_nothing(redis_url: str, prefix: str) -> None:
    """A 204 finishes the window; neither outbox nor provider hears of it."""
    silent = [Answer(status=204)]
    async with shop_with(redis_url, prefix, answer=silent) as shop, shop.deployment.worker():
        await shop.deployment.say("alice", "thanks")
        await shop.handler.wait_for_calls(1)
        await shop.deployment.finished()
        assert [row["what"] for row in await shop.deployment.journal()] == ["silent"]
        assert await shop.deployment.outbox() == []
        assert shop.texts() == []


async def test_several_texts_go_out_in_order(redis_url: str, prefix: str) -> None:
    """The texts of one answer are separate messages in the handler's order."""
    three = [Answer.reply("one", "two", "three")]
    async with shop_with(redis_url, prefix, answer=three) as shop, shop.deployment.worker():
        await shop.deployment.say("alice", "hi")
        await shop.sent(1)
        assert shop.texts() == ["one", "two", "three"]


async def test_replies_that_wait_cost_no_memory_of_their_texts(redis_url: str, prefix: str) -> None:
    """While a provider is away an owner knows whose replies wait; what they say is in Redis."""
    away = True

    def send(_call: HandlerCall) -> Answer:
        return Answer(status=500) if away else SENT

    async with (
        shop_with(redis_url, prefix, send=send, retry_base_ms=100, partitions=1) as shop,
        shop.deployment.worker() as worker,
    ):
        await shop.deployment.say("alice", "1", "2")
        await shop.provider.wait_for_calls(2)
        queues = worker.partitions[0].sender.outbox._queues
        items = [item for queue in queues.values() for item in queue]
        assert len(items) == 2
        assert not any(item.reply.texts or item.reply.message_ids for item in items)
        away = False
        await shop.sent(2)
        assert shop.texts()[-2:] == ["to 1", "to 2"]


async def test_a_users_replies_keep_their_order(redis_url: str, prefix: str) -> None:
    """Each reply of a user waits for the one before, also while that one is tried again."""
    send = [Answer(status=500), SENT]
    async with (
        shop_with(redis_url, prefix, send=send, retry_base_ms=100) as shop,
        shop.deployment.worker(),
    ):
        await shop.deployment.say("alice", "1", "2", "3")
        await shop.sent(3)
        assert shop.texts() == ["to 1", "to 1", "to 2", "to 3"]


async def test_one_users_send_holds_nobody_up(redis_url: str, prefix: str) -> None:
    """While the provider does not answer for one user, another's reply leaves."""
    release = asyncio.Event()

    async def send(call: HandlerCall) -> Answer:
        if call.json["number"] == "alice":
            await release.wait()
        return SENT

    async with (
        shop_with(redis_url, prefix, send=send, partitions=1) as shop,
        shop.deployment.worker(),
    ):
        await shop.deployment.say("alice", "1")
        await shop.provider.wait_for_calls(1)
        await shop.deployment.say("bob", "2")
        await shop.sent(1)
        assert shop.texts() == ["to 1", "to 2"]
        release.set()
        await shop.sent(2)


async def test_a_failed_send_never_repeats_the_handler(redis_url: str, prefix: str) -> None:
    """A provider that fails is asked again with the same text; the handler is not."""
    send = [Answer(status=500), Answer(status=503), Answer(status=429), SENT]
    async with shop_with(redis_url, prefix, send=send) as shop, shop.deployment.worker() as worker:
        await shop.deployment.say("alice", "hi")
        await shop.sent(1)
        assert shop.texts() == ["to hi"] * 4
        assert len(shop.handler.calls) == 1
        assert worker.count("send_failures_total", provider="evolution") == 3


async def test_a_text_that_was_taken_is_not_sent_again(redis_url: str, prefix: str) -> None:
    """A failure at the second text goes on with the second."""
    send, answer = [SENT, Answer(status=500), SENT], [Answer.reply("one", "two")]
    async with (
        shop_with(redis_url, prefix, send=send, answer=answer) as shop,
        shop.deployment.worker(),
    ):
        await shop.deployment.say("alice", "hi")
        await shop.sent(1)
        assert shop.texts() == ["one", "two", "two"]


async def test_a_long_text_leaves_in_parts_and_goes_on_where_it_failed(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that was taken is not sent again; the texts behind it follow."""
    monkeypatch.setattr(Evolution, "text_max", 12)
    send = [SENT, SENT, Answer(status=500), SENT]
    answer = [Answer.reply("hello", "one two three four five six", "bye")]
    async with (
        shop_with(redis_url, prefix, send=send, answer=answer) as shop,
        shop.deployment.worker(),
    ):
        await shop.deployment.say("alice", "hi")
        await shop.sent(1)
        parts = ["one two", "three four", "five six"]
        assert shop.texts() == ["hello", parts[0], parts[1], *parts[1:], "bye"]


async def test_what_the_provider_said_of_a_refused_reply_can_be_read(
    redis_url: str, prefix: str
) -> None:
    """The status of the conversation has the provider's error, beside the texts; so has the log."""
    async with shop_with(redis_url, prefix, send=[Answer(status=403)]) as shop:
        async with shop.deployment.worker() as worker:
            with capture_logs() as said:
                await shop.deployment.say("alice", "hi")
                held = "replies_held_total"
                await eventually(lambda: worker.count(held, reason="refused") == 1, "it is held")
        (line,) = [one for one in said if one["event"] == "reply.held"]
        assert (line["instance"], line["error"]) == ("shop", "the provider answered 403")
        async with running_pipe(redis_url) as pipe:
            found = await Trace(pipe, shop.deployment.keys).conversation("shop", "alice")
    (reply,) = found.replies
    assert (reply.state, reply.texts) == (ReplyState.FAILED, ("to hi",))
    assert reply.held == "refused: the provider answered 403"


async def test_a_refused_reply_is_held(redis_url: str, prefix: str) -> None:
    """A 400 holds the reply for a person, also for the next worker; the user's next one goes on."""
    async with shop_with(redis_url, prefix, send=[Answer(status=400), SENT]) as shop:
        async with shop.deployment.worker() as worker:
            await shop.deployment.say("alice", "1", "2")
            await shop.sent(1)
            assert worker.count("replies_held_total", reason="refused") == 1
        async with shop.deployment.worker():
            await shop.deployment.say("alice", "3")
            await shop.sent(2)
        assert shop.texts() == ["to 1", "to 2", "to 3"]
        assert [reply.texts for reply in await shop.deployment.outbox()] == [("to 1",)]


async def test_a_loop_is_held(redis_url: str, prefix: str) -> None:
    """More than ``LOOP_LIMIT`` replies to one user in a minute stay; another user's go out."""
    async with (
        shop_with(redis_url, prefix, loop_limit=2) as shop,
        shop.deployment.worker() as worker,
    ):
        await shop.deployment.say("alice", "1", "2", "3", "4")
        await eventually(
            lambda: worker.count("replies_held_total", reason="loop_limit") == 2, "two held"
        )
        await shop.deployment.say("bob", "1")
        await shop.sent(3)
        assert len(shop.provider.calls) == 3
        assert sorted(reply.texts for reply in await shop.deployment.outbox()) == [
            ("to 3",),
            ("to 4",),
        ]


async def test_what_was_answered_while_nobody_could_send_goes_out_later(
    redis_url: str, prefix: str
) -> None:
    """A reply in the outbox outlives its worker and leaves through the next one, uncomputed."""
    never = asyncio.Event()
    send = answer_first_after(never, SENT)
    async with shop_with(redis_url, prefix, send=send, drain_ms=50) as shop:
        async with shop.deployment.worker() as first:
            await shop.deployment.say("alice", "1", "2")
            await shop.deployment.finished()
            await shop.provider.wait_for_calls(1)
            await first.drain()
        async with shop.deployment.worker():
            await shop.sent(2)
        never.set()
        assert shop.texts()[-1] == "to 2"
        assert len(shop.handler.calls) == 2


async def test_echo_reaches_users_only_if_it_was_written(redis_url: str, prefix: str) -> None:
    """Where ``HANDLER`` was forgotten, the echo is kept; where it says ``echo``, it is sent."""
    async with HandlerServer([SENT]) as provider:
        instances = {"shop": channel_to(provider)}
        changes: dict[str, Any] = {"mode": "pass_through", "instances": instances}
        async with (
            deployment(redis_url, prefix, **changes) as shop,
            shop.worker() as worker,
        ):
            await shop.say("alice", "hi")
            await eventually(
                lambda: worker.count("replies_held_total", reason="no_channel") == 1, "it is kept"
            )
            assert [reply.texts for reply in await shop.outbox()] == [("hi",)]
            assert provider.calls == []
        async with (
            deployment(redis_url, f"{prefix}-written", handler="echo", **changes) as shop,
            shop.worker(),
        ):
            await shop.say("alice", "hi")
            await provider.wait_for_calls(1)


async def test_a_kept_reply_goes_after_its_time(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A reply without a channel is readable for ``RETENTION_MS`` and leaves the outbox then, though
    nothing else happens in its partition. What became of it is told as long as its message's id.
    """
    monkeypatch.setattr(replies, "KEPT_CHECK_S", 0.2)
    async with (
        HandlerServer(echoed) as server,
        deployment(
            redis_url, prefix, handler=server.url, mode="pass_through", retention_ms=300
        ) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "1")
        await server.wait_for_calls(1)

        async def is_forgotten() -> bool:
            return (await shop.journal() or [{}])[-1].get("what") == "kept"

        await eventually(is_forgotten, "a reply that has had its time")
        assert not await shop.outbox()
        await shop.redis.delete(shop.keys.of("shop", "alice").journal)
        async with running_pipe(redis_url) as pipe:
            [told] = (await Trace(pipe, shop.keys).conversation("shop", "alice")).messages
        assert told.state is State.ANSWERED
        assert told.reply is not None
        assert told.reply.state is ReplyState.EXPIRED
