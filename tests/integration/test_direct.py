"""The policy ``direct`` while Redis is away: what is handled at once and what is not."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from ingest.spool.payload import Became, key_of
from shared.connect import open_pipe
from shared.keys import Keys
from shared.model import ClosedBy, EntryId
from shared.settings import Settings
from tests.support import functions
from tests.support.direct import count, handled
from tests.support.handler_server import Answer, HandlerServer
from tests.support.redis_server import RedisServer
from tests.support.spooling import Spooling, message, spooling, stored
from tests.support.waiting import eventually


async def test_a_refused_connection_is_handled_at_once(
    direct: Spooling, durable_redis: RedisServer, keys: Keys, handler: HandlerServer
) -> None:
    """One window of one message, and no entry afterwards: it is known, and not handled again."""
    durable_redis.kill()
    assert await direct.send(1)
    [call] = await handler.wait_for_calls(1)
    assert call.json["closed_by"] == ClosedBy.BYPASS
    assert [one["message_id"] for one in call.json["messages"]] == ["ann-1"]
    await handled(direct, 1)

    durable_redis.start()
    await direct.online()

    assert await stored(durable_redis.url, keys) == []
    [again] = await direct.appender.append([message(1)])
    assert again.duplicate
    assert count(direct, "silent") == 1


@pytest.mark.parametrize(
    "begin, end",
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    ],
    ids=["OOM", "READONLY"],
)
async def test_an_error_reply_is_handled_at_once(
    begin: tuple[str, ...],
    end: tuple[str, ...],
    direct: Spooling,
    durable_redis: RedisServer,
    keys: Keys,
    handler: HandlerServer,
) -> None:
    """What Redis has refused it has not written."""
    async with open_pipe(durable_redis.url, timeout_ms=5000, name="operator") as operator:
        await operator.call(*begin)
        assert await direct.send(1)
        await handler.wait_for_calls(1)
        await handled(direct, 1)
        await operator.call(*end)
    await direct.online()
    assert await stored(durable_redis.url, keys) == []


async def test_an_append_without_answer_is_not_handled_here(
    direct: Spooling, durable_redis: RedisServer, keys: Keys, handler: HandlerServer
) -> None:
    """It may be in Redis: handled here, too, it would be answered twice; what follows it waits."""
    assert not await direct.send(0)
    durable_redis.pause()
    assert await direct.send(1)
    assert await direct.send(2)
    assert await direct.send(1, "bob")
    [call] = await handler.wait_for_calls(1)
    assert call.json["user"] == "bob"
    await handled(direct, 1, "bob")

    durable_redis.resume()
    await direct.online()

    found = [one.message_id for one in await stored(durable_redis.url, keys)]
    assert found == ["ann-0", "ann-1", "ann-2"]
    assert len(handler.calls) == 1


async def test_one_window_of_a_user_at_a_time_and_others_beside_it(
    direct: Spooling, durable_redis: RedisServer, handler: HandlerServer
) -> None:
    """A user's second message waits for the first one's answer; another user does not."""
    gates = {"ann": asyncio.Event(), "bob": asyncio.Event()}

    async def answer(call: Any) -> Answer:
        await gates[call.json["user"]].wait()
        return Answer(status=204)

    handler.script = answer
    durable_redis.kill()
    await direct.send(1)
    await direct.send(2)
    await direct.send(1, "bob")
    await handler.wait_for_calls(2)
    gates["bob"].set()
    await handled(direct, 1, "bob")
    assert len(handler.calls) == 2
    gates["ann"].set()
    await handled(direct, 2)
    assert [call.json["messages"][0]["message_id"] for call in handler.calls] == [
        "ann-1",
        "bob-1",
        "ann-2",
    ]


async def test_patterns_change_nothing_here(
    durable_redis: RedisServer, keys: Keys, tmp_path: Path, handler: HandlerServer
) -> None:
    """Every message is alone and at once anyway, and its reason says so."""
    settings = Settings(handler=handler.url, flush=("that's all",), bypass=("/*",))
    async with spooling(durable_redis.url, keys, tmp_path, direct=settings) as made:
        durable_redis.kill()
        for number, text in enumerate(["two rolls", "that's all", "/stop"]):
            await made.appender.append([message(number, text=text)])
            await handled(made, number)
        durable_redis.start()
        await made.online()
    assert [(call.json["text"], call.json["closed_by"]) for call in handler.calls] == [
        ("two rolls", ClosedBy.BYPASS),
        ("that's all", ClosedBy.BYPASS),
        ("/stop", ClosedBy.BYPASS),
    ]
    assert await stored(durable_redis.url, keys) == []


async def test_an_instances_places_hold_here_too(
    durable_redis: RedisServer, keys: Keys, tmp_path: Path, handler: HandlerServer
) -> None:
    """An endpoint that bears one call at a time gets one, also while Redis is away."""
    at_once = Counter[str]()

    async def answer(_call: Any) -> Answer:
        at_once["now"] += 1
        at_once["most"] = max(at_once["most"], at_once["now"])
        for _ in range(500):  # turns in which another call could come
            await asyncio.sleep(0)
        at_once["now"] -= 1
        return Answer(status=204)

    handler.script = answer
    settings = Settings(handler=handler.url, instance_concurrency=1)
    async with spooling(durable_redis.url, keys, tmp_path, direct=settings) as made:
        durable_redis.kill()
        users = [f"user-{number}" for number in range(8)]
        for user in users:
            await made.send(1, user)
        for user in users:
            await handled(made, 1, user)
    assert at_once["most"] == 1


async def test_a_functions_threads_bound_its_calls_here_too(
    durable_redis: RedisServer, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more users than there are threads each is answered, and no time runs out in the queue."""
    monkeypatch.setattr("shared.handlers.factory.THREADS_MAX", 2)
    monkeypatch.setattr(functions, "calls", [])
    functions.gate.clear()
    settings = Settings(handler="python:tests.support.functions:hang")
    async with spooling(durable_redis.url, keys, tmp_path, direct=settings) as made:
        durable_redis.kill()
        users = [f"user-{number}" for number in range(5)]
        for user in users:
            await made.send(1, user)
        await eventually(lambda: len(functions.calls) == 2, "two that block")
        bypass = made.appender._bypass
        assert bypass is not None
        begun = sum(job.begun for job in bypass._jobs.values())
        functions.gate.set()
        for user in users:
            await handled(made, 1, user)
    assert begun == 2
    assert len(functions.calls) == 5


async def test_what_is_with_a_person_is_not_handled(
    direct: Spooling, durable_redis: RedisServer, handler: HandlerServer
) -> None:
    """It is done in silence, as it would be with Redis."""
    durable_redis.kill()
    await direct.appender.append([structs.replace(message(1), with_human=True)])
    await handled(direct, 1)
    assert direct.spool.outcomes[key_of(message(1))].became is Became.SILENT
    assert handler.calls == []


async def test_a_second_copy_is_handled_once(
    direct: Spooling, durable_redis: RedisServer, keys: Keys, handler: HandlerServer
) -> None:
    """A provider that sends again while Redis is away is no second message."""
    durable_redis.kill()
    await direct.send(1)
    await handled(direct, 1)
    await direct.send(1)
    await direct.send(2)
    await handled(direct, 2)
    assert len(handler.calls) == 2
    durable_redis.start()
    await direct.online()
    assert await stored(durable_redis.url, keys) == []


async def test_an_id_that_stands_for_an_entry_is_none_of_redis(
    direct: Spooling, durable_redis: RedisServer
) -> None:
    """No stream gives an entry the same id: windows of both kinds never share theirs."""
    durable_redis.kill()
    await direct.send(1)
    await handled(direct, 1)
    entry_id: EntryId = direct.spool.outcomes[key_of(message(1))].entry_id
    assert entry_id.seq >= 900_000_000
    assert direct.spool.outcomes[key_of(message(1))].became is Became.SILENT
