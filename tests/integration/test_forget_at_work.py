"""Forgetting a user while an owner, a handler or a send has something of theirs: step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from consumer.answers import FinishCode, FinishRequest, StartCode, StartRequest
from consumer.outbox import Progress
from shared.connect import Pipe
from shared.errors import Fenced
from shared.forget.partition import UsersPart
from shared.keys import Keys
from shared.model import ClosedBy, Memory
from shared.redis_time import time_ms_at
from shared.scripts import Script, load_script
from shared.window import freeze
from tests.support.everywhere import ANA, forget
from tests.support.journey import INSTANCE, RETENTION_MS, WORKER, Journey
from tests.support.raw_contents import raw_contents
from tests.support.waiting import eventually


async def test_what_an_owner_has_in_memory_never_starts(
    journey: Journey, pipe: Pipe, keys: Keys
) -> None:
    """The owner is fenced at its next step, also where it held the messages already."""
    await journey.say("a", "b")
    await journey.read()
    await forget(pipe, keys)

    with pytest.raises(Fenced):
        await journey.start(2)
    renewed = await pipe.script(
        load_script("renew"), (keys.of(INSTANCE, ANA).lease,), (WORKER, 60_000, journey.epoch)
    )
    assert renewed == [0]


async def test_without_the_fence_a_window_would_not_start_either(
    journey: Journey, pipe: Pipe, keys: Keys
) -> None:
    """An owner that has taken over since finds that the window's first entry is gone."""
    await journey.say("a")
    await journey.read()
    unread = list(journey.unread)
    await forget(pipe, keys)
    partition = keys.of(INSTANCE, ANA)
    journey.epoch = await pipe.script(
        load_script("acquire"), (partition.lease, partition.epoch), (WORKER, 60_000)
    )
    journey.unread = unread
    request = StartRequest(
        window=freeze(unread, ClosedBy.MAX_WAIT, 1), replaces=None, token=journey.new_token()
    )
    [answer] = await journey.store.start(journey.epoch, [request])
    assert answer.code is StartCode.GONE


@pytest.mark.parametrize("outcome", ["answered", "dead", "silent"])
async def test_a_handler_at_work_leaves_nothing(
    journey: Journey, pipe: Pipe, keys: Keys, redis_client: Redis, outcome: str
) -> None:
    """Its finish finds nothing, and adds neither reply, dead letter, memory nor mute."""
    await journey.say("a")
    await journey.read()
    window = await journey.start(1)
    await forget(pipe, keys)
    before = await raw_contents(redis_client, keys.prefix)

    assert journey.token is not None
    request = FinishRequest(
        conversation=(INSTANCE, ANA),
        first=window.entries[0].id,
        token=journey.token,
        outcome=outcome,
        value=ANA.encode(),
        memory=Memory(item=ANA.encode(), keep=5, keep_ms=60_000),
        mute_ms=60_000,
    )
    assert await journey.store.finish([request], RETENTION_MS) == [FinishCode.ALREADY]
    assert await raw_contents(redis_client, keys.prefix) == before
    assert not await journey.store.postpone((INSTANCE, ANA), journey.token, 0, counts=True)


async def test_a_send_at_work_leaves_nothing(
    journey: Journey, pipe: Pipe, keys: Keys, redis_client: Redis
) -> None:
    """It may neither go on nor come back, and its end writes nothing down."""
    await journey.say("a")
    await journey.read()
    await journey.start(1)
    reply_id = await journey.answer("first", "second")
    token = await journey.begin_send(reply_id)
    [(_, reply)] = await journey.outbox.page(None)
    assert reply is not None
    await forget(pipe, keys)
    before = await raw_contents(redis_client, keys.prefix)

    assert not await journey.outbox.advance(reply_id, token, Progress(1, 0))
    assert not await journey.outbox.unsend(reply_id, token, 0, held="died")
    assert await journey.outbox.sent(reply_id, reply, token, "sent", RETENTION_MS)
    assert await raw_contents(redis_client, keys.prefix) == before


async def test_a_message_that_came_while_it_was_looked_through_stays_whole(
    journey: Journey, pipe: Pipe, keys: Keys
) -> None:
    """Its entry, its id against duplicates, and the record of its window are new."""
    await journey.say("old")
    [old] = await pipe.call("XREVRANGE", keys.of(INSTANCE, ANA).stream(INSTANCE), "+", "-")
    newest_ms = int(old[0].split(b"-")[0])
    await pass_a_ms(pipe)
    [new] = await journey.say("new")
    await journey.read()
    del journey.unread[0]
    await journey.start(1)

    found = await UsersPart(pipe, keys, INSTANCE, ANA).forget(newest_ms)

    assert (found.messages, found.windows, found.ids) == (1, 0, 1)
    assert await journey.say("new") == [new]
    assert (await journey.store.running())[0].keys() == {(INSTANCE, ANA)}


async def test_a_window_that_is_partly_new_is_forgotten_whole(
    journey: Journey, pipe: Pipe, keys: Keys
) -> None:
    """What its handler says of it is refused; the new message stays for a window of its own."""
    [old] = await journey.say("old")
    await pass_a_ms(pipe)
    [new] = await journey.say("new")
    await journey.read()
    await journey.start(2)

    found = await UsersPart(pipe, keys, INSTANCE, ANA).forget(old.ms)

    assert (found.messages, found.windows) == (1, 1)
    stream = keys.of(INSTANCE, ANA).stream(INSTANCE)
    assert [row[0] for row in await pipe.call("XRANGE", stream, "-", "+")] == [str(new).encode()]
    assert await journey.store.running() == ({}, [])


async def test_what_comes_later_is_new(journey: Journey, pipe: Pipe, keys: Keys) -> None:
    """Also under an id that was used before: it is a message like any other."""
    await journey.say("a")
    await forget(pipe, keys)
    [again] = await journey.say("a")
    assert [again] == await journey.say("a")
    stream = keys.of(INSTANCE, ANA).stream(INSTANCE)
    assert [row[0] for row in await pipe.call("XRANGE", stream, "-", "+")] == [str(again).encode()]


async def test_what_came_from_a_disk_that_was_waited_for_goes_too(
    journey: Journey, pipe: Pipe, keys: Keys
) -> None:
    """It was accepted long before, and stands in Redis only since: what is new is told after."""
    asked_ms = await time_ms_at(pipe, keys.heeded)
    await pipe.call("HSET", keys.heeded, "busy", f"0-0 {asked_ms}")
    forgetting = asyncio.create_task(forget(pipe, keys))
    await eventually(lambda: pipe.call("EXISTS", keys.forgets), "the wish")
    await pass_a_ms(pipe)
    await journey.say("old")
    [(asked, _)] = await pipe.call("XRANGE", keys.forgets, "-", "+")
    await pipe.call("HSET", keys.heeded, "busy", f"{asked.decode()} {asked_ms}")
    assert (await forgetting).forgotten.messages == 1


async def pass_a_ms(pipe: Pipe) -> None:
    """What happens then is later than what has happened, also by Redis's clock."""
    now_ms = await time_ms_at(pipe, ANA)

    async def is_later() -> bool:
        return await time_ms_at(pipe, ANA) > now_ms

    await eventually(is_later, "another millisecond")


def once(
    monkeypatch: pytest.MonkeyPatch, pipe: Pipe, when: str, act: Callable[[], Awaitable[Any]]
) -> None:
    """Something happens, a little ``before`` or ``after`` the first script of a name."""
    run, (moment, *names) = pipe.script, when.split()

    async def run_and_act(script: Script, *args: Any) -> Any:
        if script.name not in names:
            return await run(script, *args)
        names.clear()
        answer = await run(script, *args) if moment == "after" else None
        await pass_a_ms(pipe)
        await act()
        return await run(script, *args) if moment == "before" else answer

    monkeypatch.setattr(pipe, "script", run_and_act)


@pytest.mark.parametrize("end", ["answer", "give_up"])
async def test_what_a_handler_decides_meanwhile_goes_too(
    journey: Journey, pipe: Pipe, keys: Keys, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Its window is finished before it could be deleted; so what became of it is sought later."""
    await journey.say("a")
    await journey.read()
    await journey.start(1)
    once(monkeypatch, pipe, "before forget_unfinished", lambda: getattr(journey, end)("secret"))

    found = (await forget(pipe, keys)).forgotten

    assert (found.windows, found.replies + found.dead_letters) == (0, 1)
    assert await journey.outbox.page(None) == []
    assert await pipe.call("XLEN", keys.of(INSTANCE, ANA).dead) == 0


async def test_what_becomes_of_a_new_message_meanwhile_stays(
    journey: Journey, pipe: Pipe, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user goes on writing, and is answered: that is not what was to be forgotten."""

    async def come_and_be_answered() -> None:
        await journey.say("a", "b", "c")
        await journey.read()
        await journey.start(1)
        await journey.give_up("ValueError")
        await journey.start(1)
        await journey.answer("new")

    once(monkeypatch, pipe, "after forget_unfinished", come_and_be_answered)

    found = (await forget(pipe, keys)).forgotten

    assert (found.messages, found.replies, found.dead_letters) == (0, 0, 0)
    assert len(await journey.outbox.page(None)) == 1
    assert await pipe.call("XLEN", keys.of(INSTANCE, ANA).dead) == 1
    assert await pipe.call("XLEN", keys.of(INSTANCE, ANA).stream(INSTANCE)) == 1


async def test_a_dead_letter_that_a_person_replays_meanwhile_goes_too(
    journey: Journey, pipe: Pipe, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its window stands behind what was looked through already."""
    await journey.say("a")
    await journey.read()
    await journey.start(1)
    letter_id = await journey.give_up("ValueError")
    once(monkeypatch, pipe, "before forget_replies", lambda: journey.replay(letter_id))

    assert (await forget(pipe, keys)).forgotten.messages == 1
    assert await pipe.call("XLEN", keys.of(INSTANCE, ANA).stream(INSTANCE)) == 0
