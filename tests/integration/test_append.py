"""Appending through the product's own connection, where answers are lost."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from ingest.accepted import Accepted
from ingest.append import DEADLINE_S, TURN_MESSAGES, USERS_AT_A_TIME, RedisAppender
from ingest.group import MESSAGES_MAX, Turn
from ops.chaos.processes import free_port
from shared.command import Command
from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable, InturnError, NotConnected
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.model import Message
from shared.redis_binary import ServerBinary
from shared.scripts import load_script
from shared.wire import decode_entry
from tests.support.let_go import left_of
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


def message(number: int, user: str = "ann", instance: str = "shop") -> Message:
    """The ``number``-th message of a user."""
    return Message(instance=instance, user=user, message_id=f"M{number}", received_at=1)


def appender_of(pipe: Pipe, keys: Keys, deadline_s: float = DEADLINE_S) -> RedisAppender:
    """As ingest has it."""
    metrics = IngestMetrics(InstanceLabels(10))
    return RedisAppender(pipe, keys, 60_000, metrics, deadline_s=deadline_s)


async def stored_ids(client: Any, keys: Keys, instance: str = "shop") -> list[str]:
    """Message ids in the order of their entries."""
    rows = await client.xrange(keys.partition(0).stream(instance))
    entries = [decode_entry(instance, i, [b"m", fields[b"m"]]) for i, fields in rows]
    return [entry.message.message_id for entry in entries]


class Lossy:
    """A pipe that loses some calls: before Redis has them, or their answers."""

    def __init__(
        self, pipe: Pipe, *, calls: Collection[int] = (), answers: Collection[int] = ()
    ) -> None:
        """``calls``, ``answers``: which are lost, counted from 1."""
        self.sent = 0
        self._pipe = pipe
        self._calls = calls
        self._answers = answers

    def send(self, command: Command) -> None:
        """As ``Pipe.send``."""
        self.sent += 1
        if self.sent in self._calls:
            asyncio.get_running_loop().call_soon(command.settle, BrokerUnavailable("lost"))
            return
        self._pipe.send(Deaf(command) if self.sent in self._answers else command)


class Deaf:
    """A command whose answer is lost."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self.key, self.is_wanted, self.pack = command.key, command.is_wanted, command.pack

    @property
    def count(self) -> int:
        """As it is."""
        return self._command.count

    def settle(self, _answer: Any, _lacks: str | None = None) -> None:
        """Nobody hears of it."""
        self._command.settle(BrokerUnavailable("lost"))


async def test_repeated_appends_of_a_request_keep_its_order(
    redis_url: str, redis_client: Redis, prefix: str
) -> None:
    """What found no Redis, or whose answer was lost, comes before what follows of its user."""
    keys = Keys(prefix, 1)
    messages = [message(number) for number in range(3 * TURN_MESSAGES)]
    async with running_pipe(redis_url) as pipe:
        await pipe.call_everywhere("SCRIPT", "LOAD", load_script("append").source)
        lossy = Lossy(pipe, calls={1, 4}, answers={3, 5})
        accepted = await appender_of(cast("Pipe", lossy), keys).append(messages)
    assert lossy.sent == 7
    assert [a.message_id for a in accepted] == [m.message_id for m in messages]
    assert await stored_ids(redis_client, keys) == [m.message_id for m in messages]


async def test_nothing_of_a_user_follows_what_failed(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a request's many messages those behind would overtake it: they are not tried."""
    appender = appender_of(cast("Pipe", None), keys)
    tried: list[str] = []

    async def fail(messages: Sequence[Message]) -> list[Accepted]:
        tried.extend(one.user for one in messages)
        raise BrokerUnavailable("lost")

    monkeypatch.setattr(appender, "_append_turn", fail)
    with pytest.raises(BrokerUnavailable):
        await appender.append([message(n, user) for user in ("ann", "bob") for n in range(40)])
    assert tried == ["ann"] * TURN_MESSAGES + ["bob"] * TURN_MESSAGES


async def test_messages_of_one_batch_go_in_one_call_per_partition(
    redis_url: str, prefix: str
) -> None:
    """However many requests: Redis runs one script for each partition that they concern."""
    keys = Keys(prefix, 4)
    async with running_pipe(redis_url) as pipe:
        appender = appender_of(pipe, keys)
        await appender.append([message(0)])  # the script is known
        await pipe.call_everywhere("CONFIG", "RESETSTAT")
        each = [appender.append([message(1, f"user-{number}")]) for number in range(64)]
        kept = [accepted for (accepted,) in await asyncio.gather(*each)]
        stats = await pipe.call_everywhere("INFO", "commandstats")
    assert not any(accepted.duplicate for accepted in kept)
    runs = re.findall(rb"cmdstat_evalsha:calls=(\d+)", b"".join(stats))
    assert sum(map(int, runs)) == 4


async def test_a_full_group_takes_no_more(redis_url: str, prefix: str) -> None:
    """No script runs for longer than the messages of one group take, however many wait."""
    keys = Keys(prefix, 1)
    sizes: list[int] = []
    async with running_pipe(redis_url) as pipe:
        appender = appender_of(pipe, keys)
        lossy = Lossy(pipe)
        crowd = appender_of(cast("Pipe", lossy), keys)
        await appender.append([message(0)])
        pipe.on_batch = sizes.append
        await asyncio.gather(*(crowd.append([message(1, f"u{n}")]) for n in range(200)))
    assert lossy.sent == -(-200 // MESSAGES_MAX)
    assert sum(sizes) == 200


async def test_a_message_that_redis_refuses_fails_alone(
    redis_url: str, redis_client: Redis, prefix: str
) -> None:
    """Those of the same call are kept; of its own user nothing behind it, in that request."""
    keys = Keys(prefix, 1)
    await redis_client.set(keys.partition(0).stream("broken"), "in the way")
    wrong = [message(1, instance="broken"), message(2, instance="broken")]
    async with running_pipe(redis_url) as pipe:
        appender = appender_of(pipe, keys)
        answers = await asyncio.gather(
            appender.append([message(1)]),
            appender.append(wrong),
            appender.append([message(2)]),
            return_exceptions=True,
        )
    assert isinstance(answers[1], BrokerRefused)
    assert answers[1].code == "WRONGTYPE"
    assert not any(isinstance(answers[at], BaseException) for at in (0, 2))
    assert await stored_ids(redis_client, keys) == ["M1", "M2"]


async def test_who_was_cancelled_before_the_batch_left_is_not_appended(
    redis_url: str, redis_client: Redis, prefix: str
) -> None:
    """It is spooled instead; those beside it go on."""
    keys = Keys(prefix, 1)
    async with running_pipe(redis_url) as pipe:
        appender = appender_of(pipe, keys)
        gone, stays = (asyncio.create_task(appender.append([message(number)])) for number in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        await stays
        await asyncio.gather(gone, return_exceptions=True)
    assert gone.cancelled()
    assert await stored_ids(redis_client, keys) == ["M2"]


async def test_a_redis_that_forgot_the_script_is_told_its_text(
    redis_url: str, redis_client: Redis, prefix: str
) -> None:
    """Nobody who waits for that batch notices."""
    keys = Keys(prefix, 8)
    async with running_pipe(redis_url) as pipe:
        appender = appender_of(pipe, keys)
        for number in range(2):
            await pipe.call_everywhere("SCRIPT", "FLUSH")
            each = [appender.append([message(number, f"user-{n}")]) for n in range(16)]
            kept = [accepted for (accepted,) in await asyncio.gather(*each)]
            assert not any(accepted.duplicate for accepted in kept)


async def test_a_primary_that_became_a_replica_is_left(
    redis_binary: ServerBinary, prefix: str
) -> None:
    """A group says READONLY message by message: its connection is given up all the same."""
    keys = Keys(prefix, 1)
    with RedisServer(redis_binary) as server:
        async with running_pipe(server.url) as pipe, running_pipe(server.url) as operator:
            appender = appender_of(pipe, keys, deadline_s=0)
            await appender.append([message(0)])
            first = await pipe.call("CLIENT", "ID")
            await operator.call("REPLICAOF", "127.0.0.1", "1")
            with pytest.raises(BrokerRefused) as met:
                await appender.append([message(1)])
            assert met.value.code == "READONLY"
            await operator.call("REPLICAOF", "NO", "ONE")

            async def is_kept() -> bool:
                try:
                    await appender.append([message(1)])
                except BrokerRefused:
                    return False
                return True

            await eventually(is_kept, "a new connection")
            assert await pipe.call("CLIENT", "ID") != first


class Answers:
    """A pipe whose calls meet one error after the other."""

    def __init__(self, *errors: InturnError) -> None:
        self._errors = list(errors)

    def send(self, command: Command) -> None:
        """It meets the next one."""
        asyncio.get_running_loop().call_soon(command.settle, self._errors.pop(0))


@pytest.mark.parametrize(
    "second",
    [
        NotConnected("refused"),
        BrokerRefused("LOADING", "reads its data"),
        BrokerRefused("OOM", "full"),
    ],
)
async def test_what_may_be_there_is_not_called_unwritten(keys: Keys, second: InturnError) -> None:
    """After a try without an answer nobody may conclude from the next one that it is not there."""
    pipe = cast("Pipe", Answers(BrokerUnavailable("no answer"), second, *[second] * 100))
    appender = appender_of(pipe, keys, deadline_s=0.2)
    with pytest.raises(BrokerUnavailable) as met:
        await appender.append([message(0)])
    assert type(met.value) is BrokerUnavailable


@pytest.mark.parametrize("error", [NotConnected("refused"), BrokerRefused("READONLY", "a replica")])
async def test_what_is_certainly_not_there_is_told(keys: Keys, error: InturnError) -> None:
    """Never sent, or refused at every try: whoever handles it elsewhere handles it alone."""
    pipe = cast("Pipe", Answers(*[error] * 100))
    appender = appender_of(pipe, keys, deadline_s=0.2)
    with pytest.raises(type(error)):
        await appender.append([message(0)])


async def test_a_thousand_messages_at_once_hold_nobody_up(
    redis_url: str, prefix: str, redis_client: Redis
) -> None:
    """What another request brings meanwhile goes in between, not behind all of them."""
    keys = Keys(prefix, 1)
    async with running_pipe(redis_url) as pipe, asyncio.TaskGroup() as tasks:
        appender = appender_of(pipe, keys)
        many = [message(number, user=f"user-{number}") for number in range(1000)]
        tasks.create_task(appender.append(many))
        await asyncio.sleep(0)  # the first of them are on their way
        await asyncio.sleep(0)
        tasks.create_task(appender.append([message(1000)]))
    stored = await stored_ids(redis_client, keys)
    assert len(stored) == 1001
    assert 0 < stored.index("M1000") <= 4 * USERS_AT_A_TIME


@pytest.mark.parametrize("users", [1, 3], ids=["one user", "several"])
async def test_what_could_not_be_kept_is_let_go_at_once(prefix: str, users: int) -> None:
    """While Redis is away, bodies that were answered 503 do not fill the memory."""
    metrics = IngestMetrics(InstanceLabels(10))
    async with running_pipe(f"redis://127.0.0.1:{free_port()}") as pipe:
        keys = Keys(prefix, 4)
        appender = RedisAppender(pipe, keys, 60_000, metrics, deadline_s=0.1, limit_s=1.0)
        with left_of(Turn) as left:
            for _ in range(3):
                with suppress(BrokerUnavailable):
                    await appender.append([message(n, user=f"user-{n}") for n in range(users)])
            await asyncio.sleep(0)  # the turn of the loop that has told the error ends
            assert left() == []
