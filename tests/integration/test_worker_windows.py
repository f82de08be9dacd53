"""A worker gathers bursts into windows and hands each over once, one of a user at a time."""

from __future__ import annotations

import asyncio
import time

from shared.instance_settings import InstanceSettings
from tests.support.deployment import deployment, id_of_window
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.machine import watched_machine
from tests.support.waiting import eventually

TURNS = 8
"""The message's to be written, the bell's to ring, a look, a read, a start and a call; Redis's."""


async def test_three_messages_are_one_window(redis_url: str, prefix: str) -> None:
    """Three messages within the wait are one call with three texts, and one reply."""
    async with (
        HandlerServer([Answer.reply("yes, until six")]) as server,
        deployment(redis_url, prefix, handler=server.url) as shop,
        shop.worker() as worker,
    ):
        first, *_ = await shop.say("alice", "hi", "are you open?", "on friday I mean")
        (call,) = await server.wait_for_calls(1)
        assert call.json["text"] == "hi\nare you open?\non friday I mean"
        assert call.json["window_id"] == id_of_window("alice", first)
        assert call.json["closed_by"] == "max_wait"
        assert call.json["attempt"] == 1
        assert call.json["closed_at"] - call.json["opened_at"] == 300
        await shop.finished()
        (reply,) = await shop.outbox()
        assert reply.texts == ("yes, until six",)
        assert reply.window_id == call.json["window_id"]
        assert len(server.calls) == 1
        assert worker.count("windows_closed_total", reason="max_wait") == 1
        assert worker.count("messages_finished_total", outcome="answered") == 3
        assert await shop.record("alice") is None


async def test_the_fifth_message_closes_at_once(redis_url: str, prefix: str) -> None:
    """Five messages do not wait for the time to pass."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=60_000) as shop,
        shop.worker() as worker,
    ):
        await worker.owns(4)
        with watched_machine() as machine:
            began_s = time.monotonic()
            await shop.say("alice", "1", "2", "3", "4", "5")
            (call,) = await server.wait_for_calls(1)
            took_s = time.monotonic() - began_s
        assert call.json["closed_by"] == "max_messages"
        assert call.json["text"] == "1\n2\n3\n4\n5"
        assert took_s < machine.allows_s(5.0, TURNS)
        await shop.finished()


async def test_a_message_during_the_handler_opens_the_next_window(
    redis_url: str, prefix: str
) -> None:
    """What comes while the handler runs is another window, which waits for the first."""
    answered = asyncio.Event()

    async def script(call: HandlerCall) -> Answer:
        if call.json["text"] == "one":
            await answered.wait()
        return Answer.reply(f"to {call.json['text']}")

    async with (
        HandlerServer(script) as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=200) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "one")
        await server.wait_for_calls(1)
        await shop.say("alice", "two", "three")
        await shop.say("bob", "other")
        await server.wait_for_calls(2)
        # Bob's window was cut after Alice's second was due, so hers is held back, not late.
        await eventually(lambda: worker.count("windows_running") == 1, "Bob's window to finish")
        assert [call.json["user"] for call in server.calls] == ["alice", "bob"]
        answered.set()
        calls = await server.wait_for_calls(3)
        assert calls[2].json["text"] == "two\nthree"
        await shop.finished()


async def test_other_users_never_wait(redis_url: str, prefix: str) -> None:
    """While one user's handler hangs, twenty others of the same partition are answered."""
    release = asyncio.Event()

    async def script(call: HandlerCall) -> Answer:
        if call.json["user"] == "alice":
            await release.wait()
        return Answer(status=204)

    async with (
        HandlerServer(script) as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=20, partitions=1) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "one")
        await server.wait_for_calls(1)
        for number in range(20):
            await shop.say(f"user-{number}", "hello")
        await server.wait_for_calls(21)
        await eventually(lambda: worker.count("windows_running") == 1, "only Alice's to run")
        assert await shop.backlog() == 1
        release.set()
        await shop.finished()


async def test_one_users_windows_never_overlap(redis_url: str, prefix: str) -> None:
    """Twelve windows of three users are handled in order, never two of a user together."""
    in_hand: set[str] = set()
    overlaps: list[str] = []
    three = asyncio.Barrier(3)

    async def script(call: HandlerCall) -> Answer:
        user = call.json["user"]
        if user in in_hand:
            overlaps.append(user)
        in_hand.add(user)
        await three.wait()
        in_hand.discard(user)
        return Answer(status=204)

    async with (
        HandlerServer(script) as server,
        deployment(
            redis_url, prefix, handler=server.url, max_messages=2, max_wait_ms=60_000
        ) as shop,
        shop.worker(),
    ):
        users = [f"user-{number}" for number in range(3)]
        for number in range(8):
            for user in users:
                await shop.say(user, str(number))
        await server.wait_for_calls(12)
        await shop.finished()
    assert not overlaps
    for user in users:
        texts = [call.json["text"] for call in server.calls if call.json["user"] == user]
        assert texts == ["0\n1", "2\n3", "4\n5", "6\n7"]


async def test_no_more_handlers_than_slots(redis_url: str, prefix: str) -> None:
    """With two slots, ten users' windows are all handled, two at a time."""
    at_once = []
    running = 0
    two = asyncio.Barrier(2)

    async def script(call: HandlerCall) -> Answer:
        nonlocal running
        running += 1
        at_once.append(running)
        await two.wait()
        running -= 1
        return Answer(status=204)

    async with (
        HandlerServer(script) as server,
        deployment(
            redis_url, prefix, handler=server.url, handler_concurrency=2, max_wait_ms=60_000
        ) as shop,
        shop.worker(),
    ):
        for number in range(10):
            await shop.say(f"user-{number}", "1", "2", "3", "4", "5")
        await server.wait_for_calls(10)
        await shop.finished()
    assert max(at_once) == 2


async def test_the_quiet_window_closes_early(redis_url: str, prefix: str) -> None:
    """Where ``QUIET_MS`` is set, a window closes that long after its last message."""
    async with (
        HandlerServer() as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=60_000, quiet_ms=100) as shop,
        shop.worker(),
    ):
        ids = await shop.say("alice", "hi", "there")
        (call,) = await server.wait_for_calls(1)
        assert call.json["closed_by"] == "quiet"
        assert call.json["text"] == "hi\nthere"
        assert call.json["closed_at"] == ids[-1].ms + 100
        await shop.finished()


async def test_instances_have_settings_of_their_own(redis_url: str, prefix: str) -> None:
    """An instance's window size and handler go before the general ones, for it alone."""
    async with (
        HandlerServer([Answer.reply("general")]) as general,
        HandlerServer([Answer.reply("own")]) as own,
        deployment(
            redis_url,
            prefix,
            handler=general.url,
            max_wait_ms=60_000,
            max_messages=2,
            instances={"bakery": InstanceSettings(max_messages=3, handler=own.url)},
        ) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "1", "2", "3", instance="bakery")
        await shop.say("alice", "1", "2")
        (call,) = await own.wait_for_calls(1)
        assert (call.json["instance"], call.json["text"]) == ("bakery", "1\n2\n3")
        (call,) = await general.wait_for_calls(1)
        assert (call.json["instance"], call.json["text"]) == ("shop", "1\n2")
        await shop.finished()


async def test_an_instance_that_nobody_names_follows_its_connection(
    redis_url: str, prefix: str
) -> None:
    """One of many accounts behind a connection: its windows, and its handler."""
    async with HandlerServer() as general, HandlerServer() as theirs:
        own = InstanceSettings(serves_several=True, handler=theirs.url, max_messages=2)
        changes = {"handler": general.url, "instances": {"line": own}, "max_wait_ms": 60_000}
        async with deployment(redis_url, prefix, **changes) as shop, shop.worker():
            await shop.say("alice", "1", "2", instance="account 7", connection="line")
            (call,) = await theirs.wait_for_calls(1)
            assert (call.json["instance"], call.json["text"]) == ("account 7", "1\n2")
            assert call.json["closed_by"] == "max_messages"
            await shop.finished()
            assert general.calls == []


async def test_pass_through_hands_over_each_message(redis_url: str, prefix: str) -> None:
    """In the mode ``pass_through`` every message is a window at once, still in order."""
    async with (
        HandlerServer() as server,
        deployment(
            redis_url, prefix, handler=server.url, max_wait_ms=60_000, mode="pass_through"
        ) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "1", "2", "3")
        calls = await server.wait_for_calls(3)
        assert [call.json["text"] for call in calls] == ["1", "2", "3"]
        assert {call.json["closed_by"] for call in calls} == {"pass_through"}
        await shop.finished()


async def test_messages_are_ordered_by_the_providers_time(redis_url: str, prefix: str) -> None:
    """Inside a window the provider's time counts, where every message has one."""
    async with (
        HandlerServer() as server,
        deployment(
            redis_url, prefix, handler=server.url, max_messages=2, max_wait_ms=60_000
        ) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "second", sent_at=2000)
        await shop.say("alice", "first", sent_at=1000)
        (call,) = await server.wait_for_calls(1)
        assert call.json["text"] == "first\nsecond"
        await shop.finished()
