"""A worker that may hold nothing of what users write hands over all of it just the same."""

from __future__ import annotations

import asyncio

import pytest

from shared.model import Kind, Media
from tests.support.deployment import deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def _nothing_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.worker.HELD_BYTES", 0)


async def test_everything_is_fetched_for_its_handler(redis_url: str, prefix: str) -> None:
    """Texts and media arrive whole, at the first attempt and at the second."""
    async with (
        HandlerServer([Answer(status=500), Answer.reply("thanks")]) as server,
        deployment(
            redis_url, prefix, handler=server.url, max_messages=2, max_wait_ms=60_000
        ) as shop,
        shop.worker(),
    ):
        media = Media(mime="image/jpeg", data="A" * 50_000)
        await shop.say("alice", "look", kind=Kind.IMAGE, media=media)
        await shop.say("alice", "nice?")
        await shop.finished()
        assert server.attempts() == [1, 2]
        for call in server.calls:
            assert call.json["text"] == "look\nnice?"
            assert call.json["messages"][0]["media"]["data"] == media.data
        (reply,) = await shop.outbox()
        assert len(reply.message_ids) == 2


async def test_a_window_that_lost_an_entry_before_it_began(redis_url: str, prefix: str) -> None:
    """The rest is handed over, and what somebody deleted is counted as missing."""
    async with (
        HandlerServer() as server,
        deployment(
            redis_url, prefix, handler=server.url, max_messages=4, max_wait_ms=60_000
        ) as shop,
        shop.worker() as worker,
    ):
        ids = await shop.say("alice", "1", "2", "3")
        partition = worker.partitions[shop.keys.of("shop", "alice").number]
        await eventually(lambda: partition.memory.stream("shop").held == 3, "three entries read")
        await shop.redis.xdel(shop.keys.of("shop", "alice").stream("shop"), str(ids[1]))
        await shop.say("alice", "4", "5")  # the fourth closes the window, found to be three
        await shop.finished()
        assert [call.json["text"] for call in server.calls] == ["1\n3\n4\n5"]
        assert worker.count("entries_missing_total") == 1


async def test_a_dead_letter_holds_what_memory_did_not(redis_url: str, prefix: str) -> None:
    """Given up is kept whole, and comes back whole."""
    async with (
        HandlerServer([Answer(status=400), Answer(status=204)]) as server,
        deployment(redis_url, prefix, handler=server.url, max_messages=2) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "1", "2")
        await shop.finished()
        (letter,) = await shop.dead_letters()
        assert letter.window is not None
        assert [entry.message.text for entry in letter.window.entries] == ["1", "2"]
        (letter_id,) = [kept.id for kept in await shop.letters.newest(9)]
        await shop.letters.replay(letter_id)
        await server.wait_for_calls(2)
        assert server.calls[1].json["text"] == "1\n2"


async def test_bulky_windows_in_hand_keep_no_short_one_waiting(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One window of photographs at a time where there is room for one; short ones go by."""
    monkeypatch.setattr("consumer.dispatch.HAND_BYTES", 1)
    held, in_hand, most = asyncio.Event(), set[str](), 0

    async def script(call: HandlerCall) -> Answer:
        nonlocal most
        user = call.json["user"]
        if user.startswith("big"):
            in_hand.add(user)
            most = max(most, len(in_hand))
            await held.wait()
            in_hand.discard(user)
        return Answer(status=204)

    async with (
        HandlerServer(script) as server,
        deployment(redis_url, prefix, handler=server.url, max_messages=1) as shop,
        shop.worker(),
    ):
        media = Media(mime="image/jpeg", data="A" * 50_000)
        for number in range(3):
            await shop.say(f"big-{number}", "look", kind=Kind.IMAGE, media=media)
        await shop.say("short", "hello")
        calls = await server.wait_for_calls(2)
        assert {call.json["user"][:3] for call in calls} == {"big", "sho"}
        held.set()
        await shop.finished()
        assert (len(server.calls), most) == (4, 1)
