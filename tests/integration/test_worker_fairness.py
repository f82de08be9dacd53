"""Handler slots are shared between the partitions of a worker."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from shared.instance_settings import InstanceSettings
from tests.support.deployment import deployment
from tests.support.handler_server import Answer, HandlerCall, HandlerServer, answer_after
from tests.support.waiting import eventually

FLOOD = 40


@pytest.mark.parametrize("flooded", [0, 1])
@pytest.mark.parametrize("status", [204, 200])
async def test_a_flood_in_one_partition_takes_not_every_slot(
    redis_url: str, prefix: str, flooded: int, status: int
) -> None:
    """A window of another partition waits for the next free slot, not for the end of the flood."""
    held = asyncio.Event()
    answer = Answer.reply("hello") if status == 200 else Answer(status=status)

    async with (
        HandlerServer(answer_after(held, answer)) as server,
        deployment(
            redis_url,
            prefix,
            handler=server.url,
            max_messages=1,
            partitions=2,
            handler_concurrency=1,
        ) as shop,
        shop.worker() as worker,
    ):
        users: list[list[str]] = [[], []]
        for number in range(4 * FLOOD):
            users[shop.keys.of("shop", f"user-{number}").number].append(f"user-{number}")
        for user in users[flooded][:FLOOD]:
            await shop.say(user, "hi")
        flood = worker.partitions[flooded].memory
        await eventually(lambda: flood.stream("shop").held == FLOOD, "the flood")
        other = worker.partitions[1 - flooded].memory
        await shop.say(users[1 - flooded][0], "hi")
        await eventually(lambda: other.startable, "a window that waits for a slot")
        held.set()
        await shop.finished()

        called = [call.json["user"] for call in server.calls]
        assert called.index(users[1 - flooded][0]) <= 2


async def test_a_free_slot_is_not_for_a_partition_that_must_be_rebuilt(
    redis_url: str, prefix: str
) -> None:
    """What it knows is in doubt: its windows wait for the takeover, and then are handled once."""
    held = asyncio.Event()

    async with (
        HandlerServer(answer_after(held)) as server,
        deployment(
            redis_url,
            prefix,
            handler=server.url,
            max_messages=1,
            partitions=1,
            handler_concurrency=1,
        ) as shop,
        shop.worker() as worker,
    ):
        for user in ("alice", "bob"):
            await shop.say(user, "hi")
        owner = worker.partitions[0]
        await eventually(lambda: owner.loaded and owner.memory.startable, "a window that waits")
        owner.restart("in doubt")
        assert not owner.is_trusted()
        held.set()
        await shop.finished()

        assert sorted(call.json["user"] for call in server.calls) == ["alice", "bob"]


@pytest.mark.parametrize(
    "limits",
    [{"instances": {"slow": InstanceSettings(handler_concurrency=2)}}, {"instance_concurrency": 2}],
    ids=["its own", "everybody's"],
)
async def test_an_instance_has_no_more_windows_in_hand_than_its_places(
    redis_url: str, prefix: str, limits: dict[str, Any]
) -> None:
    """Over all partitions; the rest of its windows take no slot, and other instances go on."""
    at_once = {"slow": 0, "most": 0}
    held = asyncio.Event()

    async def script(call: HandlerCall) -> Answer:
        if call.json["instance"] != "slow":
            return Answer(status=204)
        at_once["slow"] += 1
        at_once["most"] = max(at_once["slow"], at_once["most"])
        await held.wait()
        at_once["slow"] -= 1
        return Answer(status=204)

    async with (
        HandlerServer(script) as server,
        deployment(
            redis_url,
            prefix,
            handler=server.url,
            max_messages=1,
            partitions=4,
            handler_concurrency=4,
            **limits,
        ) as shop,
        shop.worker(),
    ):
        for number in range(FLOOD):
            await shop.say(f"user-{number}", "hi", instance="slow")
        await server.wait_for_calls(2)
        for number in range(FLOOD):
            await shop.say(f"user-{number}", "hi")
        await server.wait_for_calls(2 + FLOOD)
        assert at_once == {"slow": 2, "most": 2}
        held.set()
        await server.wait_for_calls(2 * FLOOD)
        await shop.finished()
        assert at_once == {"slow": 0, "most": 2}


async def test_every_instance_may_have_the_same_limit(redis_url: str, prefix: str) -> None:
    """``INSTANCE_CONCURRENCY`` holds for those that the file does not name, each by itself."""
    both = asyncio.Barrier(2)
    at_once: Counter[str] = Counter()

    async def script(call: HandlerCall) -> Answer:
        instance = call.json["instance"]
        at_once[instance] += 1
        assert at_once[instance] == 1
        async with both:  # one of each, or nobody goes on
            at_once[instance] -= 1
        return Answer(status=204)

    async with (
        HandlerServer(script) as server,
        deployment(
            redis_url, prefix, handler=server.url, max_messages=1, instance_concurrency=1
        ) as shop,
        shop.worker(),
    ):
        for number in range(6):
            await shop.say(f"user-{number}", "hi", instance="north")
            await shop.say(f"user-{number}", "hi", instance="south")
        await server.wait_for_calls(12)
        await shop.finished()


async def test_a_flooding_instance_takes_not_every_slot(redis_url: str, prefix: str) -> None:
    """
    One has forty windows for each of two slots, in every partition, and others have one each:
    those start before as many of the flood's as there are slots and instances.
    """
    held = asyncio.Event()

    others = ["north", "south", "west"]
    async with (
        HandlerServer(answer_after(held)) as server,
        deployment(
            redis_url,
            prefix,
            handler=server.url,
            max_messages=1,
            partitions=4,
            handler_concurrency=2,
        ) as shop,
        shop.worker() as worker,
    ):
        for number in range(2 * FLOOD):
            await shop.say(f"user-{number}", "hi", instance="flood")
        await server.wait_for_calls(2)
        for name in others:
            await shop.say("ann", "hi", instance=name)

        def is_read() -> bool:
            memories = [owned.memory for owned in worker.partitions.values()]
            return sum(memory.stream(name).held for memory in memories for name in others) == 3

        await eventually(is_read, "the others' windows")
        held.set()
        await shop.finished()

        called = [call.json["instance"] for call in server.calls]
        assert max(called.index(name) for name in others) < 2 + 2 * (1 + len(others))
