"""Commands and stop words through a real worker: at once, in order, and only where they are set."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from shared.instance_settings import InstanceSettings
from shared.keys import Keys
from shared.model import Kind
from tests.support.deployment import deployment, id_of_window
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.redis_server import RedisServer
from tests.support.spooling import INSTANCE, message, spooling

NEVER_MS = 3_600_000
"""So long no test waits: what closes has not waited."""

PATTERNS: dict[str, Any] = {
    "max_wait_ms": NEVER_MS,
    "bypass": ("/*",),
    "flush": ("that's all", "kind:button"),
}


def told(calls: list[HandlerCall]) -> list[tuple[str, str]]:
    """Each call's texts, and why its window closed."""
    return [(call.json["text"], call.json["closed_by"]) for call in calls]


async def test_a_command_is_handled_at_once_behind_what_was_gathered(
    redis_url: str, prefix: str
) -> None:
    """The open window starts first, the command is alone, and what follows gathers anew."""
    async with (
        HandlerServer() as handler,
        deployment(redis_url, prefix, handler=handler.url, **PATTERNS) as shop,
        shop.worker() as worker,
    ):
        _, _, command, _ = await shop.say("alice", "hi", "a table for two", "/Cancel it", "sorry")
        assert told(await handler.wait_for_calls(2)) == [
            ("hi\na table for two", "flush"),
            ("/Cancel it", "bypass"),
        ]
        assert handler.calls[1].json["window_id"] == id_of_window("alice", command)
        assert handler.calls[1].json["closed_at"] == command.ms
        assert worker.count("windows_closed_total", reason="bypass") == 1
        assert worker.count("windows_closed_total", reason="flush") == 1
        await shop.say("alice", "/stop")
        assert told((await handler.wait_for_calls(4))[2:]) == [
            ("sorry", "flush"),
            ("/stop", "bypass"),
        ]
        await shop.finished()


async def test_a_stop_word_and_a_press_end_their_window(redis_url: str, prefix: str) -> None:
    """They are its last message, whatever could have come yet."""
    async with (
        HandlerServer() as handler,
        deployment(redis_url, prefix, handler=handler.url, **PATTERNS) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "two rolls", "That’s all ")
        await shop.say("bob", "rolls or bread?")
        await shop.say("bob", "Rolls", kind=Kind.BUTTON)
        calls = await handler.wait_for_calls(2)
        assert sorted(told(calls)) == [
            ("rolls or bread?\nRolls", "flush"),
            ("two rolls\nThat’s all ", "flush"),
        ]
        await shop.finished()


async def test_a_command_waits_for_its_users_window_in_hand_alone(
    redis_url: str, prefix: str
) -> None:
    """One window of a user at a time holds for commands, too; other users' come at once."""
    release = asyncio.Event()

    async def script(call: HandlerCall) -> Answer:
        if call.json["text"] == "that's all":
            await release.wait()
        return Answer(status=204)

    async with (
        HandlerServer(script) as handler,
        deployment(redis_url, prefix, handler=handler.url, partitions=1, **PATTERNS) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "that's all")
        await handler.wait_for_calls(1)
        await shop.say("alice", "/stop", "/start")
        await shop.say("bob", "/stop")
        users = [call.json["user"] for call in await handler.wait_for_calls(2)]
        assert users == ["alice", "bob"]
        release.set()
        assert told((await handler.wait_for_calls(4))[2:]) == [
            ("/stop", "bypass"),
            ("/start", "bypass"),
        ]
        await shop.finished()


async def test_an_instance_has_patterns_of_its_own(redis_url: str, prefix: str) -> None:
    """Its list stands for the general one; an empty one is none."""
    own = {"desk": InstanceSettings(bypass=("help",)), "mute": InstanceSettings(bypass=())}
    async with (
        HandlerServer() as handler,
        deployment(redis_url, prefix, handler=handler.url, instances=own, **PATTERNS) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "/stop", "Help", instance="desk")
        await shop.say("alice", "/stop", "that's all", instance="mute")
        calls = await handler.wait_for_calls(3)
        of_desk = [call for call in calls if call.json["instance"] == "desk"]
        assert told(of_desk) == [("/stop", "flush"), ("Help", "bypass")]
        (of_mute,) = [call for call in calls if call.json["instance"] == "mute"]
        assert told([of_mute]) == [("/stop\nthat's all", "flush")]
        await shop.finished()


async def test_the_next_owner_cuts_the_same(redis_url: str, prefix: str) -> None:
    """A worker dies with a command in hand and another behind it: again, alone, under its id."""
    never = asyncio.Event()

    async def script(call: HandlerCall) -> Answer:
        if (call.json["text"], call.json["attempt"]) == ("/one", 1):
            await never.wait()
        return Answer(status=204)

    async with (
        HandlerServer(script) as handler,
        deployment(redis_url, prefix, handler=handler.url, lease_ms=500, **PATTERNS) as shop,
    ):
        async with shop.worker() as worker:
            await shop.say("alice", "/one", "/two")
            await handler.wait_for_calls(1)
            await worker.crash()
        async with shop.worker():
            calls = await handler.wait_for_calls(3)
            assert told(calls) == [("/one", "bypass"), ("/one", "bypass"), ("/two", "bypass")]
            assert calls[0].json["window_id"] == calls[1].json["window_id"]
            await shop.finished()
            never.set()


async def test_what_was_spooled_is_cut_as_if_redis_had_been_there(
    durable_redis: RedisServer, keys: Keys, tmp_path: Path
) -> None:
    """A replay hands over entries as any other append: in order, and cut where they are read."""
    said = ["hi", "two rolls", "that's all", "/stop", "bye"]
    async with HandlerServer() as handler, spooling(durable_redis.url, keys, tmp_path) as made:
        durable_redis.kill()
        for number, text in enumerate(said):
            await made.appender.append([message(number, text=text)])
        assert made.spool.messages == len(said)
        durable_redis.start()
        await made.online()
        async with (
            deployment(
                durable_redis.url,
                keys.prefix,
                handler=handler.url,
                partitions=keys.partitions,
                **PATTERNS,
            ) as shop,
            shop.worker(),
        ):
            assert told(await handler.wait_for_calls(2)) == [
                ("hi\ntwo rolls\nthat's all", "flush"),
                ("/stop", "bypass"),
            ]
            await shop.say("ann", "/now", instance=INSTANCE)
            assert told((await handler.wait_for_calls(4))[2:]) == [
                ("bye", "flush"),
                ("/now", "bypass"),
            ]
            await shop.finished()
