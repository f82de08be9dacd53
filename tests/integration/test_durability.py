"""What stands behind a 2xx: WAIT and WAITAOF, each on servers that can be stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import pytest
from redis.asyncio import Redis

from ingest.append import RedisAppender
from shared.connect import Pipe, open_pipe
from shared.durability import Durability, durability_problems
from shared.errors import BrokerRefused, BrokerUnavailable, NotDurable, StartRefused
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import Message
from shared.node_pipe import NodePipe
from shared.preflight import prepare
from shared.redis_binary import ServerBinary
from shared.scripts import Script, load_script
from shared.settings import Settings
from tests.support.partition_scripts import append_answer, append_call
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer
from tests.support.replicated_redis import ReplicatedRedis
from tests.support.waiting import eventually

ONE_REPLICA = Durability.parse("replicas:1")
FSYNC = Durability.parse("fsync")
TIMEOUT_MS = 800
PATIENT_MS = 10_000
"""Where the replica is there: a busy machine may wake it late."""

AOF = {"appendonly": "yes"}


@pytest.fixture(scope="module", params=["tested", "valkey"])
def replicated(
    request: pytest.FixtureRequest, redis_binary: ServerBinary
) -> Iterator[ReplicatedRedis]:
    """A primary with one replica: of the tested version, and of one with 7.2's WAIT."""
    binary = request.getfixturevalue("valkey") if request.param == "valkey" else redis_binary
    with ReplicatedRedis(binary) as made:
        yield made


@pytest.fixture
def in_step(replicated: ReplicatedRedis) -> Iterator[ReplicatedRedis]:
    """The same, its replica awake before and after."""
    replicated.wait_until_in_step()
    yield replicated
    replicated.replicas[0].resume()


def durable_pipe(
    url: str, durability: Durability, timeout_ms: int = TIMEOUT_MS
) -> AbstractAsyncContextManager[Pipe]:
    """A pipe as ingest has it."""
    return open_pipe(url, timeout_ms=timeout_ms, name="test", durability=durability)


def appender_of(pipe: Pipe, keys: Keys) -> RedisAppender:
    """Ingest's own."""
    return RedisAppender(pipe, keys, 60_000, IngestMetrics(InstanceLabels(10)))


def message(message_id: str = "M1") -> Message:
    """One of Ann's."""
    return Message(instance="shop", user="ann", message_id=message_id, received_at=1)


async def entries(url: str, keys: Keys) -> int:
    """How many messages are in the stream."""
    client = Redis.from_url(url, protocol=2)
    try:
        return int(await client.xlen(keys.partition(0).stream("shop")))
    finally:
        await client.aclose()


async def test_a_batch_costs_one_more_command(in_step: ReplicatedRedis, keys: Keys) -> None:
    """A hundred messages of one turn share a WAIT, or a few: never one each."""
    async with (
        durable_pipe(in_step.url, ONE_REPLICA, PATIENT_MS) as pipe,
        running_pipe(in_step.url) as other,
    ):
        await appender_of(pipe, keys).append([message()])
        await other.call("CONFIG", "RESETSTAT")
        many = [
            Message(instance="shop", user=f"u{n}", message_id="M", received_at=1)
            for n in range(100)
        ]
        accepted = await appender_of(pipe, keys).append(many)
        stats = (await other.call("INFO", "commandstats")).decode()
    assert len(accepted) == 100
    (waits,) = [line for line in stats.splitlines() if line.startswith("cmdstat_wait:")]
    assert 1 <= int(waits.partition("calls=")[2].partition(",")[0]) < 10


async def test_too_few_replicas_are_no_2xx(in_step: ReplicatedRedis, keys: Keys) -> None:
    """While the replica stands still the message is in Redis and not accepted."""
    in_step.replicas[0].pause()
    async with durable_pipe(in_step.url, ONE_REPLICA) as pipe:
        with pytest.raises(BrokerUnavailable):
            await appender_of(pipe, keys).append([message()])
    assert await entries(in_step.url, keys) == 1


async def test_what_was_sent_again_is_not_accepted_before_the_replica_has_it(
    in_step: ReplicatedRedis, keys: Keys
) -> None:
    """A duplicate, also on a new connection, asks for its durability like the first one."""
    in_step.replicas[0].pause()
    for _ in range(2):
        async with durable_pipe(in_step.url, ONE_REPLICA) as pipe:
            with pytest.raises(BrokerUnavailable):
                await appender_of(pipe, keys).append([message()])
    in_step.replicas[0].resume()
    async with durable_pipe(in_step.url, ONE_REPLICA, PATIENT_MS) as pipe:
        (accepted,) = await appender_of(pipe, keys).append([message()])
    assert accepted.duplicate
    assert await entries(in_step.url, keys) == 1


async def test_a_duplicate_that_writes_nothing_would_be_a_lie(
    valkey: ServerBinary, keys: Keys
) -> None:
    """Without append's write for a known id, WAIT says 1 for what no replica has."""
    script = load_script("append")
    lying = Script("append", script.source.replace("pairs(known)", "pairs({})"), "?")
    assert lying.source != script.source
    names, args = append_call(keys.partition(0), [message()])
    with ReplicatedRedis(valkey) as made:
        made.replicas[0].pause()

        async def append(source: str) -> object:
            async with durable_pipe(made.url, ONE_REPLICA) as pipe:
                (answer,) = await pipe.call("EVAL", source, len(names), *names, *args)
                return append_answer(answer)

        with pytest.raises(NotDurable):
            await append(lying.source)
        assert isinstance(await append(lying.source), tuple)
        with pytest.raises(NotDurable):
            await append(script.source)


async def test_an_error_reply_stays_one(in_step: ReplicatedRedis, keys: Keys) -> None:
    """What Redis refused is refused, whatever WAIT says; its neighbour is judged by WAIT."""
    async with durable_pipe(in_step.url, ONE_REPLICA, PATIENT_MS) as pipe:
        await pipe.call("SET", f"{keys.prefix}:text", "x")
        answers = await asyncio.gather(
            pipe.call("LPUSH", f"{keys.prefix}:text", "x"),
            pipe.call("SET", f"{keys.prefix}:other", "x"),
            return_exceptions=True,
        )
    assert getattr(answers[0], "code", None) == "WRONGTYPE"
    assert answers[1] == b"OK"


async def test_what_is_not_durable_still_has_its_answer(
    in_step: ReplicatedRedis, keys: Keys
) -> None:
    """The caller may undo what was done: it knows what that was."""
    in_step.replicas[0].pause()
    async with durable_pipe(in_step.url, ONE_REPLICA) as pipe:
        with pytest.raises(NotDurable) as caught:
            await pipe.call("INCR", f"{keys.prefix}:n")
    assert caught.value.answer == 1


@pytest.mark.parametrize("fsync", ["always", "everysec"])
async def test_fsync_by_waitaof(valkey: ServerBinary, keys: Keys, fsync: str) -> None:
    """Where there is WAITAOF, any sync will do: also that of every second."""
    with RedisServer(valkey, options=AOF | {"appendfsync": fsync}) as server:
        async with durable_pipe(server.url, FSYNC) as pipe, running_pipe(server.url) as other:
            (accepted,) = await appender_of(pipe, keys).append([message()])
            stats = await other.call("INFO", "commandstats")
    assert not accepted.duplicate
    assert b"cmdstat_waitaof:" in stats


async def test_no_sync_is_no_2xx(valkey: ServerBinary, keys: Keys) -> None:
    """A server that somebody has told to sync no more: the very next message is not accepted."""
    with RedisServer(valkey, options=AOF | {"appendfsync": "always"}) as server:
        async with durable_pipe(server.url, FSYNC) as pipe, running_pipe(server.url) as other:
            await appender_of(pipe, keys).append([message("M1")])
            await other.call("CONFIG", "SET", "appendfsync", "no")
            with pytest.raises(BrokerUnavailable):
                await appender_of(pipe, keys).append([message("M2")])


async def test_every_new_connection_is_asked_how_it_syncs(
    redis_binary: ServerBinary, keys: Keys
) -> None:
    """A server that was started again with another file says so before a message is accepted."""
    with RedisServer(redis_binary, options=AOF | {"appendfsync": "always"}) as server:
        async with durable_pipe(server.url, FSYNC) as pipe, running_pipe(server.url) as other:
            await appender_of(pipe, keys).append([message("M1")])
            connection = await pipe.call("CLIENT", "ID")
            await other.call("CONFIG", "SET", "appendonly", "no")
            await other.call("CLIENT", "KILL", "ID", connection)
            with pytest.raises(NotDurable, match="appendonly is off"):
                await appender_of(pipe, keys).append([message("M2")])
            await other.call("CONFIG", "SET", "appendonly", "yes")

            async def is_accepted() -> bool:
                try:
                    return bool(await appender_of(pipe, keys).append([message("M2")]))
                except NotDurable:
                    return False

            await eventually(is_accepted, "a message on the synced file")


def options_of(**changes: str) -> dict[str, str]:
    """A server that syncs always, but for ``changes``."""
    return AOF | {"appendfsync": "always"} | changes


@pytest.mark.parametrize(
    "options, problem",
    [
        (options_of(), None),
        (options_of(appendonly="no"), "appendonly is off"),
        (options_of(appendfsync="no"), "appendfsync is no"),
    ],
)
async def test_a_start_with_fsync_is_refused_where_nothing_is_synced(
    redis_binary: ServerBinary, prefix: str, options: dict[str, str], problem: str | None
) -> None:
    """Nobody finds out by a power cut."""
    settings = Settings(durability="fsync", prefix=prefix)
    with RedisServer(redis_binary, options=options) as server:
        async with running_pipe(server.url) as pipe:
            if problem is None:
                await prepare(pipe, settings)
                return
            with pytest.raises(StartRefused) as refused:
                await prepare(pipe, settings)
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(f"INTURN_DURABILITY is fsync, but {problem}")


def forbid(*commands: str) -> tuple[str, ...]:
    """An ACL that lets everything be done but these."""
    return ("ACL", "SETUSER", "default", *(f"-{command}" for command in commands))


@pytest.mark.parametrize("level", ["fsync", "replicas:1"])
async def test_a_start_is_refused_where_nobody_can_know(
    redis_binary: ServerBinary, prefix: str, level: str
) -> None:
    """Where the server tells neither by WAIT nor by CONFIG, no promise is made in its name."""
    settings = Settings(durability=level, prefix=prefix)
    with RedisServer(redis_binary, options=options_of()) as server:
        async with running_pipe(server.url) as pipe:
            has_waitaof = redis_binary.version >= (7, 2, 0)
            await pipe.call(*forbid("config", "wait", *(["waitaof"] if has_waitaof else [])))
            with pytest.raises(StartRefused) as refused:
                await prepare(pipe, settings)
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith(f"INTURN_DURABILITY is {level}, but ")


@pytest.mark.parametrize("level", [ONE_REPLICA, FSYNC])
async def test_what_a_server_says_while_it_loads_is_no_reason_not_to_start(
    level: Durability,
) -> None:
    """That it refuses WAIT and WAITAOF now says nothing of what it does once it is there."""

    async def ask(*_command: object) -> None:
        raise BrokerRefused("LOADING", "Redis is loading the dataset in memory")

    with pytest.raises(BrokerRefused):
        await durability_problems(level, ask)


async def test_a_start_waits_for_a_replica_to_be_promoted(
    in_step: ReplicatedRedis, prefix: str
) -> None:
    """A failover may be on its way: that a replica refuses WAIT says nothing of the primary."""
    async with running_pipe(in_step.replicas[0].url) as pipe:
        with pytest.raises(BrokerRefused) as refused:
            await prepare(pipe, Settings(durability="replicas:1", prefix=prefix))
    assert refused.value.code == "READONLY"


@pytest.mark.one_server("looks into the one connection to one server")
async def test_memory_costs_nothing(redis_url: str, keys: Keys) -> None:
    """The default adds no command to a batch and none to a connection."""
    sent: list[int] = []
    async with durable_pipe(redis_url, Durability()) as pipe:
        pipe.on_batch = sent.append
        await appender_of(pipe, keys).append([message()])
        assert isinstance(pipe, NodePipe)
        assert pipe._promise is None
