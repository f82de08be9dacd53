"""Forgetting a user while workers are at work on them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.connect import Pipe
from shared.forget import Forgetter
from shared.forget.wish import Wishes
from shared.keys import ClinicKeys
from tests.support import functions
from tests.support.deployment import INSTANCE, Deployment, deployment
from tests.support.raw_contents import raw_contents
from tests.support.waiting import eventually

ANA, BEN = "491700000001", "491700000002"
WAITING = "python:tests.support.functions:wait"


@pytest.fixture(autouse=True)
def begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call yet, and the handler waits."""
    functions.calls.clear()
    monkeypatch.setattr(functions, "opened", asyncio.Event())


def called() -> list[str]:
    """The texts that handlers were called with."""
    return [text for text, _, _ in functions.calls]


async def forget(shop: Deployment, pipe: Pipe) -> Any:
    """Ana, as a command does."""
    return (await Forgetter(pipe, shop.keys).forget(INSTANCE, ANA)).forgotten


async def traces(shop: Deployment, redis_client: Redis) -> list[str]:
    """Keys in which something of Ana stands."""
    found = await raw_contents(redis_client, shop.keys.prefix)
    return [key for key, raw in found.items() if ANA.encode() in raw or b"secret" in raw]


async def test_a_handler_at_work_answers_nobody(
    redis_url: str, prefix: str, pipe: Pipe, redis_client: Redis
) -> None:
    """Its result is refused; what the user writes then is handled alone, and at once."""
    async with (
        deployment(redis_url, prefix, partitions=1, handler=WAITING) as shop,
        shop.worker() as worker,
    ):
        await shop.say(ANA, "secret")
        await eventually(lambda: called() == ["secret"], "a call")
        assert (await forget(shop, pipe)).windows == 1

        await shop.say(ANA, "quick")
        await shop.say(BEN, "quick")
        await eventually(lambda: called() == ["secret", "quick", "quick"], "two more calls")
        await shop.finished()
        functions.opened.set()
        await eventually(lambda: worker.count("fenced_total", call="finish") == 1, "a refusal")
        assert sorted((one.user, one.texts) for one in await shop.outbox()) == [
            (ANA, ("quick",)),
            (BEN, ("quick",)),
        ]
        await forget(shop, pipe)
        assert await traces(shop, redis_client) == []
        assert worker.count("entries_missing_total") == 0


async def test_an_open_window_in_memory_never_starts(
    redis_url: str, prefix: str, pipe: Pipe, redis_client: Redis
) -> None:
    """What came later opens a window of its own; other users' windows are as they were."""
    async with (
        deployment(redis_url, prefix, partitions=1, handler=WAITING, max_wait_ms=1500) as shop,
        shop.worker() as worker,
    ):
        functions.opened.set()
        await shop.say(ANA, "secret", "secret too")
        await shop.say(BEN, "hi")
        await eventually(lambda: len(worker.partitions[0].memory.open) == 2, "two open windows")
        assert (await forget(shop, pipe)).messages == 2
        await shop.say(ANA, "new")
        await shop.say(BEN, "there")
        await shop.finished()
        assert sorted(called()) == ["hi\nthere", "new"]
        await forget(shop, pipe)
        assert await traces(shop, redis_client) == []


async def test_a_window_in_backoff_never_starts_again(
    redis_url: str, prefix: str, pipe: Pipe
) -> None:
    """Nor does it hold up what the user writes afterwards."""
    handler = "python:tests.support.functions:fail_once"
    settings = {"partitions": 1, "handler": handler, "retry_base_ms": 60_000}
    async with deployment(redis_url, prefix, **settings) as shop, shop.worker():
        await shop.say(ANA, "secret")

        async def is_waiting() -> bool:
            record = await shop.record(ANA)
            return record is not None and not record.worker

        await eventually(is_waiting, "a postponed window")
        assert (await forget(shop, pipe)).windows == 1
        await shop.say(ANA, "new")
        await eventually(lambda: called() == ["secret", "new"], "the new one's call")


async def test_a_user_who_goes_on_writing(
    redis_url: str, prefix: str, pipe: Pipe, redis_client: Redis
) -> None:
    """
    Every message that came after the answer is handled once, and nothing before is left.

    One that came while its window was forgotten is new: it is handled in a window of its own, and
    the call that had it already is refused.
    """
    async with (
        deployment(
            redis_url, prefix, partitions=1, handler=WAITING, max_wait_ms=50, max_messages=2
        ) as shop,
        shop.worker() as one,
        shop.worker() as other,
    ):
        functions.opened.set()
        is_over = asyncio.Event()

        async def write() -> None:
            number = 0
            while not is_over.is_set():
                number += 1
                await shop.say(ANA, f"secret {number}")

        await shop.say(ANA, "secret")
        writing = asyncio.create_task(write())
        forgotten = [(await forget(shop, pipe)).ids for _ in range(5)]
        is_over.set()
        await writing
        await forget(shop, pipe)
        last = [f"new {number}" for number in range(10)]
        await shop.say(ANA, *last)
        await shop.finished()
        assert sum(forgotten) > 0
        handled = [line for text in called() for line in text.split("\n")]
        assert [line for line in handled if line in last] == last
        refused = sum(worker.count("fenced_total", call="finish") for worker in (one, other))
        assert len(handled) - len(set(handled)) <= refused
        await forget(shop, pipe)
        assert await traces(shop, redis_client) == []


async def test_a_wish_is_fulfilled_by_the_partitions_owner(
    redis_url: str, prefix: str, pipe: Pipe, redis_client: Redis
) -> None:
    """Also one that was made while there was no worker; then nothing is left of the wish."""
    async with deployment(redis_url, prefix, handler=WAITING) as shop:
        await shop.say(ANA, "secret")
        wishes = Wishes(pipe, shop.keys)
        early = await wishes.make(INSTANCE, ANA)
        assert await wishes.told(early) is None
        async with shop.worker(), shop.worker():
            late = await wishes.make(INSTANCE, BEN)

            async def is_open() -> bool:
                return bool(await wishes.open())

            async def is_over() -> bool:
                return not await is_open()

            await eventually(is_over, "two fulfilled wishes")
            told = await wishes.told(early)
            assert told is not None
            assert told["forgotten"]["messages"] == 1
            assert await wishes.told(late) is not None
        assert await traces(shop, redis_client) == []
        assert called() == []


@pytest.mark.parametrize("wish", [b"{", b"7", b'["only one"]', b"\xff"])
async def test_a_wish_that_cannot_be_read_ends_no_worker(
    redis_url: str, prefix: str, pipe: Pipe, redis_client: Redis, wish: bytes
) -> None:
    """Nor does it keep others from being fulfilled."""
    async with deployment(redis_url, prefix, handler=WAITING) as shop:
        await redis_client.hset(shop.keys.wishes, "0", wish)
        await shop.say(ANA, "secret")
        async with shop.worker():
            wishes = Wishes(pipe, shop.keys)
            made = await wishes.make(INSTANCE, ANA)
            await eventually(lambda: is_told(wishes, made), "the wish that can be read")
        assert await traces(shop, redis_client) == []


async def test_a_wish_that_fails_holds_up_no_other(
    redis_url: str, prefix: str, pipe: Pipe, redis_client: Redis
) -> None:
    """What Redis refuses of one user is tried again, and others are forgotten meanwhile."""
    settings = {"partitions": 1, "handler": WAITING}
    async with deployment(redis_url, prefix, **settings) as shop, shop.worker():
        await shop.say(BEN, "secret")
        wishes = Wishes(pipe, shop.keys)
        tickets = ClinicKeys.of(shop.keys.prefix, "other").tickets
        await redis_client.set(tickets, "no hash")
        stuck = await wishes.make("other", ANA)
        made = await wishes.make(INSTANCE, BEN)
        await eventually(lambda: is_told(wishes, made), "the other wish")
        assert list(await wishes.open()) == [stuck]
        await redis_client.delete(tickets)
        await eventually(lambda: is_told(wishes, stuck), "the one that failed")


async def is_told(wishes: Wishes, wish: str) -> bool:
    """Whether it was fulfilled."""
    return await wishes.told(wish) is not None
