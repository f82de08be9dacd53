"""Ingest counts echoes as ours or a person's, and fails for none of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ingest.echoes import BATCH, EchoJudge
from shared.connect import Pipe
from shared.keys import Keys
from shared.providers import Echo
from shared.sent_ids import note_sent
from shared.settings import Settings
from tests.support.pipes import running_pipe

SETTINGS = Settings(instances={"own": {"on_human": "mute:5"}, "line": {"on_human": "mute:7"}})


@pytest.fixture
def keys(prefix: str) -> Keys:
    """Several partitions: one call for each."""
    return Keys(prefix, 4)


def echo(user: str, message_id: str, instance: str = "own") -> Echo:
    """A message that left the account."""
    return Echo(instance=instance, user=user, message_id=message_id)


async def test_echoes_of_many_partitions_are_told_apart(pipe: Pipe, keys: Keys) -> None:
    """Each as its own, however many there are."""
    users = [f"user-{number}" for number in range(4 * 2 * BATCH)]
    for user in users[:30]:
        await note_sent(pipe, keys.of("own", user), ("own", user), ["A"])
    judge = EchoJudge(pipe, keys, SETTINGS).judge
    found = await judge("own", [echo(user, "A") for user in users])
    assert found == {"echo": 30, "human": len(users) - 30}
    assert await judge("own", []) == {}


@pytest.mark.parametrize(
    "instance, connection, is_kept",
    [
        ("own", "own", True),
        ("own", "other", True),
        ("other", "other", False),
        ("unnamed", "line", True),
    ],
)
async def test_only_where_a_person_mutes_is_anything_kept(
    pipe: Pipe, keys: Keys, instance: str, connection: str, is_kept: bool
) -> None:
    """By the instance's setting; of one that no setting names by its connection's."""
    judge = EchoJudge(pipe, keys, SETTINGS).judge
    assert await judge(connection, [echo("ann", "A", instance)]) == {"human": 1}
    key = keys.of(instance, "ann").human(instance, "ann")
    assert await pipe.call("EXISTS", key) == int(is_kept)


async def test_what_came_by_another_connection_is_ours_all_the_same(pipe: Pipe, keys: Keys) -> None:
    """Several accounts may be behind one: what was sent is an instance's."""
    await note_sent(pipe, keys.of("own", "ann"), ("own", "ann"), ["A"])
    judge = EchoJudge(pipe, keys, SETTINGS).judge
    assert await judge("line", [echo("ann", "A"), echo("ann", "A", "line")]) == {
        "echo": 1,
        "human": 1,
    }


@pytest.fixture
async def dead_pipe() -> AsyncIterator[Pipe]:
    """A connection to nobody."""
    async with running_pipe("redis://127.0.0.1:1/0") as running:
        yield running


async def test_without_redis_nobody_knows_whose_it_is(dead_pipe: Pipe, keys: Keys) -> None:
    """It is counted as what it certainly is, and nothing is raised."""
    judge = EchoJudge(dead_pipe, keys, SETTINGS).judge
    assert await judge("own", [echo("ann", "A"), echo("bob", "B")]) == {"from_me": 2}


async def test_a_redis_that_does_not_answer_delays_nobody_for_long(
    pipe: Pipe, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The webhook's own answer waits for it, so the wait is short."""
    monkeypatch.setattr("ingest.echoes.LIMIT_S", 0.01)

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(pipe, "script", never)
    judge = EchoJudge(pipe, keys, SETTINGS).judge
    assert await judge("own", [echo("ann", "A"), echo("bob", "B")]) == {"from_me": 2}


async def test_what_makes_no_key_is_counted(pipe: Pipe, keys: Keys) -> None:
    """Half of an emoji in a user's id fails no webhook."""
    judge = EchoJudge(pipe, keys, SETTINGS).judge
    assert await judge("own", [echo("ann\ud83d", "A"), echo("bob", "B")]) == {"from_me": 2}


async def test_a_key_of_another_type_costs_only_the_count(pipe: Pipe, keys: Keys) -> None:
    """Somebody else writes into this Redis: an error reply is no error of the webhook's."""
    await pipe.call("SET", keys.of("own", "ann").human("own", "ann"), "x")
    judge = EchoJudge(pipe, keys, SETTINGS).judge
    assert await judge("own", [echo("ann", "A")]) == {"from_me": 1}
