"""The policy ``direct``: what is handled at once, what is not, and what Redis is told of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from ingest.away import State
from ingest.echoes import EchoJudge
from ingest.spool.payload import Became, key_of
from shared.connect import open_pipe
from shared.keys import Keys
from shared.model import ClosedBy, EntryId
from shared.providers import Echo
from shared.providers.evolution import Evolution
from shared.redis_binary import ServerBinary
from shared.settings import Settings
from shared.steering_store import SteeringStore
from shared.trace import Trace
from shared.wire import decode_reply
from tests.support import functions
from tests.support.channel import channel_to
from tests.support.handler_server import Answer, HandlerServer
from tests.support.redis_server import RedisServer
from tests.support.spooling import INSTANCE, Spooling, message, spooling, stored
from tests.support.waiting import eventually


@pytest.fixture
def server(redis_binary: ServerBinary) -> Iterator[RedisServer]:
    """A Redis of the test's own, whose data outlive a kill."""
    options = {"appendonly": "yes", "appendfsync": "always"}
    with RedisServer(redis_binary, options=options) as running:
        yield running


@pytest.fixture
async def handler() -> AsyncIterator[HandlerServer]:
    """Answers every window with silence, unless the test says otherwise."""
    async with HandlerServer() as running:
        yield running


@pytest.fixture
def settings(handler: HandlerServer) -> Settings:
    """Without a channel: replies are kept to be read."""
    return Settings(handler=handler.url, handler_timeout_ms=5000)


@pytest.fixture
async def made(
    server: RedisServer, keys: Keys, tmp_path: Path, settings: Settings
) -> AsyncIterator[Spooling]:
    """One process's policy."""
    async with spooling(server.url, keys, tmp_path, direct=settings) as running:
        yield running


async def handled(made: Spooling, number: int, user: str = "ann") -> None:
    """Wait until a message's outcome is known."""
    key = key_of(message(number, user))
    await eventually(lambda: key in made.spool.outcomes, f"outcome of {key}")


def count(made: Spooling, outcome: str) -> float | None:
    """``inturn_direct_handled_total``."""
    labels = {"outcome": outcome}
    return made.metrics.registry.get_sample_value("inturn_direct_handled_total", labels)


async def test_a_refused_connection_is_handled_at_once(
    made: Spooling, server: RedisServer, keys: Keys, handler: HandlerServer
) -> None:
    """One window of one message, and no entry afterwards: it is known, and not handled again."""
    server.kill()
    assert await made.send(1)
    [call] = await handler.wait_for_calls(1)
    assert call.json["closed_by"] == ClosedBy.BYPASS
    assert [one["message_id"] for one in call.json["messages"]] == ["ann-1"]
    await handled(made, 1)

    server.start()
    await made.online()

    assert await stored(server.url, keys) == []
    [again] = await made.appender.append([message(1)])
    assert again.duplicate
    assert count(made, "silent") == 1


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
    made: Spooling,
    server: RedisServer,
    keys: Keys,
    handler: HandlerServer,
) -> None:
    """What Redis has refused it has not written."""
    async with open_pipe(server.url, timeout_ms=5000, name="operator") as operator:
        await operator.call(*begin)
        assert await made.send(1)
        await handler.wait_for_calls(1)
        await handled(made, 1)
        await operator.call(*end)
    await made.online()
    assert await stored(server.url, keys) == []


async def test_an_append_without_answer_is_not_handled_here(
    made: Spooling, server: RedisServer, keys: Keys, handler: HandlerServer
) -> None:
    """It may be in Redis: handled here, too, it would be answered twice; what follows it waits."""
    assert not await made.send(0)
    server.pause()
    assert await made.send(1)
    assert await made.send(2)
    assert await made.send(1, "bob")
    [call] = await handler.wait_for_calls(1)
    assert call.json["user"] == "bob"
    await handled(made, 1, "bob")

    server.resume()
    await made.online()

    found = [one.message_id for one in await stored(server.url, keys)]
    assert found == ["ann-0", "ann-1", "ann-2"]
    assert len(handler.calls) == 1


@pytest.mark.parametrize("status", [500, 404, 400])
async def test_what_fails_is_appended_and_what_follows_it_too(
    status: int, made: Spooling, server: RedisServer, keys: Keys, handler: HandlerServer
) -> None:
    """One attempt, whatever was wrong with it; then as usual, in the user's order."""
    handler.script = [Answer(status=status), Answer(status=204)]
    server.kill()
    assert await made.send(1)
    await eventually(lambda: count(made, "failed") == 1, "a failure")
    assert await made.send(2)
    server.start()
    await made.online()
    assert [one.message_id for one in await stored(server.url, keys)] == ["ann-1", "ann-2"]
    assert len(handler.calls) == 1


async def test_one_window_of_a_user_at_a_time_and_others_beside_it(
    made: Spooling, server: RedisServer, handler: HandlerServer
) -> None:
    """A user's second message waits for the first one's answer; another user does not."""
    gates = {"ann": asyncio.Event(), "bob": asyncio.Event()}

    async def answer(call: Any) -> Answer:
        await gates[call.json["user"]].wait()
        return Answer(status=204)

    handler.script = answer
    server.kill()
    await made.send(1)
    await made.send(2)
    await made.send(1, "bob")
    await handler.wait_for_calls(2)
    gates["bob"].set()
    await handled(made, 1, "bob")
    assert len(handler.calls) == 2
    gates["ann"].set()
    await handled(made, 2)
    assert [call.json["messages"][0]["message_id"] for call in handler.calls] == [
        "ann-1",
        "bob-1",
        "ann-2",
    ]


async def test_patterns_change_nothing_here(
    server: RedisServer, keys: Keys, tmp_path: Path, handler: HandlerServer
) -> None:
    """Every message is alone and at once anyway, and its reason says so."""
    settings = Settings(handler=handler.url, flush=("that's all",), bypass=("/*",))
    async with spooling(server.url, keys, tmp_path, direct=settings) as made:
        server.kill()
        for number, text in enumerate(["two rolls", "that's all", "/stop"]):
            await made.appender.append([message(number, text=text)])
            await handled(made, number)
        server.start()
        await made.online()
    assert [(call.json["text"], call.json["closed_by"]) for call in handler.calls] == [
        ("two rolls", ClosedBy.BYPASS),
        ("that's all", ClosedBy.BYPASS),
        ("/stop", ClosedBy.BYPASS),
    ]
    assert await stored(server.url, keys) == []


async def test_an_instances_places_hold_here_too(
    server: RedisServer, keys: Keys, tmp_path: Path, handler: HandlerServer
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
    async with spooling(server.url, keys, tmp_path, direct=settings) as made:
        server.kill()
        users = [f"user-{number}" for number in range(8)]
        for user in users:
            await made.send(1, user)
        for user in users:
            await handled(made, 1, user)
    assert at_once["most"] == 1


async def test_a_functions_threads_bound_its_calls_here_too(
    server: RedisServer, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more users than there are threads each is answered, and no time runs out in the queue."""
    monkeypatch.setattr("shared.handlers.factory.THREADS_MAX", 2)
    monkeypatch.setattr(functions, "calls", [])
    functions.gate.clear()
    settings = Settings(handler="python:tests.support.functions:hang")
    async with spooling(server.url, keys, tmp_path, direct=settings) as made:
        server.kill()
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


async def test_a_reply_that_was_not_sent_goes_into_the_outbox(
    made: Spooling, server: RedisServer, keys: Keys, handler: HandlerServer
) -> None:
    """Without a channel, or when its send failed: it waits there as every other one."""
    handler.script = [Answer.reply("one", "two")]
    server.kill()
    await made.send(1)
    await handled(made, 1)
    server.start()
    await made.online()

    p = keys.partition(0)
    async with open_pipe(server.url, timeout_ms=5000, name="look") as pipe:
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
    server: RedisServer, keys: Keys, tmp_path: Path, handler: HandlerServer
) -> None:
    """It is sent while Redis is away, once, and Redis is told that it was."""
    handler.script = [Answer.reply("hello")]
    async with HandlerServer([Answer.json({"key": {"id": "1"}}, 201)]) as provider:
        instances = {INSTANCE: channel_to(provider)}
        settings = Settings(handler=handler.url, instances=instances)
        async with spooling(server.url, keys, tmp_path, direct=settings) as made:
            server.kill()
            await made.send(1)
            await provider.wait_for_calls(1)
            await handled(made, 1)
            server.start()
            await made.online()
            async with open_pipe(server.url, timeout_ms=5000, name="look") as pipe:
                assert await pipe.call("XLEN", keys.partition(0).outbox) == 0
                found = await located(Trace(pipe, keys), "ann-1")
                echo = Echo(instance=INSTANCE, user="ann", message_id="1")
                assert await EchoJudge(pipe, keys, settings).judge(INSTANCE, [echo]) == {"echo": 1}
        assert found == "sent"
        assert len(provider.calls) == 1
    assert await stored(server.url, keys) == []


async def test_a_long_text_leaves_in_parts_and_what_failed_is_left(
    server: RedisServer,
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
        async with spooling(server.url, keys, tmp_path, direct=settings) as made:
            server.kill()
            await made.send(1)
            await handled(made, 1)
            outcome = made.spool.outcomes[key_of(message(1))]
    assert [call.json["text"] for call in provider.calls] == ["one two", "three"]
    assert (outcome.became, outcome.sent_ids) == (Became.ANSWERED, ("1",))
    assert outcome.reply is not None
    assert outcome.reply.texts == ("three", "bye")


async def test_what_is_paused_is_left_to_the_spool(
    server: RedisServer, keys: Keys, tmp_path: Path, settings: Settings, handler: HandlerServer
) -> None:
    """
    By what Redis said before the outage, also in a process that starts during it: the messages are
    appended afterwards, in order, and wait there. Other instances are answered.
    """
    pauses = tmp_path / f"paused-{settings.prefix}"
    async with spooling(server.url, keys, tmp_path, direct=settings) as made:
        async with open_pipe(server.url, timeout_ms=5000, name="operator") as operator:
            await SteeringStore(operator, keys).change(INSTANCE, {"paused": True})
        await eventually(pauses.exists, "the pause on the disk")
        server.kill()
        await made.send(1)
        other = structs.replace(message(1, "bob"), instance="clinic")
        await made.appender.append([other])
        await handler.wait_for_calls(1)

    async with spooling(server.url, keys, tmp_path, direct=settings) as heir:
        await heir.send(2)
        await heir.appender.append([structs.replace(message(2, "bob"), instance="clinic")])
        await handler.wait_for_calls(2)
        server.start()
        await heir.online()
        async with open_pipe(server.url, timeout_ms=5000, name="operator") as operator:
            await SteeringStore(operator, keys).take_back(INSTANCE)
        await eventually(lambda: pauses.read_bytes() == b"{}", "the end of the pause on the disk")

    assert {call.json["instance"] for call in handler.calls} == {"clinic"}
    assert [one.message_id for one in await stored(server.url, keys)] == ["ann-1", "ann-2"]


@pytest.mark.parametrize("wrong", [b"", b"nonsense", b"[]", b'{"shop": 1}'])
async def test_a_note_of_pauses_that_cannot_be_read_pauses_nobody(
    server: RedisServer, keys: Keys, tmp_path: Path, settings: Settings, handler: HandlerServer,
    wrong: bytes,
) -> None:  # fmt: skip
    """Somebody else wrote there; who is answered at once is answered."""
    (tmp_path / f"paused-{settings.prefix}").write_bytes(wrong)
    server.kill()
    async with spooling(server.url, keys, tmp_path, direct=settings) as made:
        await made.send(1)
        await handler.wait_for_calls(1)


async def test_what_redis_says_of_pauses_goes_before_the_disk(
    server: RedisServer, keys: Keys, tmp_path: Path, settings: Settings, handler: HandlerServer
) -> None:
    """Also where nothing was ever set in it: an old note pauses nobody for ever."""
    note = tmp_path / f"paused-{settings.prefix}"
    note.write_bytes(b'{"shop": true}')
    async with spooling(server.url, keys, tmp_path, direct=settings) as made:
        await eventually(lambda: note.read_bytes() == b"{}", "the end of the pause")
        server.kill()
        await made.send(1)
        await handler.wait_for_calls(1)


async def test_what_is_with_a_person_is_not_handled(
    made: Spooling, server: RedisServer, handler: HandlerServer
) -> None:
    """It is done in silence, as it would be with Redis."""
    server.kill()
    await made.appender.append([structs.replace(message(1), with_human=True)])
    await handled(made, 1)
    assert made.spool.outcomes[key_of(message(1))].became is Became.SILENT
    assert handler.calls == []


async def test_a_call_in_hand_is_waited_for_by_the_replay(
    made: Spooling, server: RedisServer, keys: Keys, handler: HandlerServer
) -> None:
    """Neither appended while it is handled, nor handled twice; what has not begun is appended."""
    go = asyncio.Event()

    async def answer(_call: Any) -> Answer:
        await go.wait()
        return Answer(status=204)

    handler.script = answer
    server.kill()
    await made.send(1)
    await made.send(2)
    await handler.wait_for_calls(1)
    server.start()
    await eventually(lambda: made.appender._is_draining, "the replay")
    assert await stored(server.url, keys) == []
    assert made.appender.state is State.SPOOLING
    go.set()
    await made.online()
    assert [one.message_id for one in await stored(server.url, keys)] == ["ann-2"]
    assert len(handler.calls) == 1


async def test_what_is_replayed_before_its_call_begins_is_not_handled_here(
    made: Spooling,
    server: RedisServer,
    keys: Keys,
    handler: HandlerServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Redis may come back between a message's sync and its handling: then it is an entry."""
    server.kill()
    await made.send(1)
    await handled(made, 1)
    put = made.spool.put

    async def put_and_see_redis_back(messages: Any) -> None:
        await put(messages)
        server.start()
        await made.online()

    monkeypatch.setattr(made.spool, "put", put_and_see_redis_back)
    assert await made.send(2)
    await made.online()
    assert [one.message_id for one in await stored(server.url, keys)] == ["ann-2"]
    assert not made.appender._bypass._jobs  # type: ignore[union-attr]
    assert len(handler.calls) == 1


async def test_an_outcome_outlives_its_process(
    server: RedisServer, keys: Keys, tmp_path: Path, settings: Settings, handler: HandlerServer
) -> None:
    """Who adopts the folder remembers what was handled, and appends what was not."""
    handler.script = [Answer(status=204), Answer(status=500), Answer(status=204)]
    server.kill()
    async with spooling(server.url, keys, tmp_path, direct=settings) as dead:
        await dead.send(1)
        await handled(dead, 1)
        await dead.send(2)
        await eventually(lambda: count(dead, "failed") == 1, "a failure")

    async with spooling(server.url, keys, tmp_path, direct=settings) as heir:
        assert heir.spool.messages == 2
        # ann's second message waits: her third may not overtake it.
        await heir.send(3)
        await heir.send(1, "bob")
        await handled(heir, 1, "bob")
        server.start()
        await heir.online()

    assert [one.message_id for one in await stored(server.url, keys)] == ["ann-2", "ann-3"]
    assert len(handler.calls) == 3


async def test_a_second_copy_is_handled_once(
    made: Spooling, server: RedisServer, keys: Keys, handler: HandlerServer
) -> None:
    """A provider that sends again while Redis is away is no second message."""
    server.kill()
    await made.send(1)
    await handled(made, 1)
    await made.send(1)
    await made.send(2)
    await handled(made, 2)
    assert len(handler.calls) == 2
    server.start()
    await made.online()
    assert await stored(server.url, keys) == []


async def test_an_id_that_stands_for_an_entry_is_none_of_redis(
    made: Spooling, server: RedisServer
) -> None:
    """No stream gives an entry the same id: windows of both kinds never share theirs."""
    server.kill()
    await made.send(1)
    await handled(made, 1)
    entry_id: EntryId = made.spool.outcomes[key_of(message(1))].entry_id
    assert entry_id.seq >= 900_000_000
    assert made.spool.outcomes[key_of(message(1))].became is Became.SILENT
